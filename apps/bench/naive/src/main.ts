// The backend that tutorials and published examples for WatermelonDB show: what `nest new` makes, on Express, with
// Passport's guard and Prisma. Nothing in it is slow on purpose.
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { AppModule } from './app.module.js';

const app = await NestFactory.create<NestExpressApplication>(AppModule);
// Express' own 100 kB would refuse a first push.
app.useBodyParser('json', { limit: '256mb' });
app.enableShutdownHooks();
await app.listen(Number(process.env['PORT']), '127.0.0.1');
