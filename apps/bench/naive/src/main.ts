// The backend that tutorials and published examples for WatermelonDB show: what `nest new` makes, on Express, with
// Passport's guard and Prisma. Nothing in it is slow on purpose.
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { AppModule } from './app.module.js';

const KEEP_ALIVE_MS = 120_000;

const app = await NestFactory.create<NestExpressApplication>(AppModule);
// Express' own 100 kB would refuse a first push.
app.useBodyParser('json', { limit: '256mb' });
app.enableShutdownHooks();
// Connections of many clients are idle while others take their turns: longer than Node's 5 s.
app.getHttpServer().keepAliveTimeout = KEEP_ALIVE_MS;
await app.listen(Number(process.env['PORT']), '127.0.0.1');
