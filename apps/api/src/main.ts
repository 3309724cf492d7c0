import { createApp } from './create-app.js';
import { ConfigError, loadConfig } from './platform/config/config.js';

try {
  const config = loadConfig(process.env);
  const app = await createApp(config);
  await app.listen(config.port, '0.0.0.0');
} catch (error) {
  // Before the logger exists, or when it is what failed: plain text for whoever starts it.
  console.error(error instanceof ConfigError ? error.message : error);
  process.exit(1);
}
