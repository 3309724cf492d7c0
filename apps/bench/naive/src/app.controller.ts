import { Controller, Get } from '@nestjs/common';

@Controller()
export class AppController {
  @Get('ready')
  getReady() {
    return { ready: true };
  }
}
