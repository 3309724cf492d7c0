import { Controller, Get, Post, Query, Res } from '@nestjs/common';
import { ApiExcludeEndpoint, ApiTags } from '@nestjs/swagger';
import { UnsubscribeQuery } from '@rind/contracts';
import type { FastifyReply } from 'fastify';
import { ApiRoute } from '../platform/http/api-route.decorator.js';
import { Public } from '../platform/http/public.decorator.js';
import { NotificationMails } from './notification-mails.service.js';

/** For mail programs, which nobody is signed in to. */
@ApiTags('notifications')
@Controller('notifications/unsubscribe')
export class UnsubscribeController {
  constructor(private readonly mails: NotificationMails) {}

  /**
   * For programs that open the address in a browser, which gets the page of the app. Changes nothing:
   * those that look for malware follow every link of a mail.
   */
  @Get()
  @Public()
  @ApiExcludeEndpoint()
  openPage(
    @Query({ schema: UnsubscribeQuery }) { token }: UnsubscribeQuery,
    @Res() reply: FastifyReply,
  ): void {
    reply.redirect(this.mails.unsubscribePage(token), 302);
  }

  @Post()
  @Public()
  @ApiRoute({
    operationId: 'unsubscribe',
    summary: 'Get no more mails of one type, by the link in one of them',
    description:
      'The address in `List-Unsubscribe`. Mail programs post a form to it (RFC 8058), whose content is not looked at.',
    answers: [{ status: 204, description: 'There will be no more' }],
    problems: ['validation_failed', 'mail_token_invalid'],
  })
  async unsubscribe(@Query({ schema: UnsubscribeQuery }) { token }: UnsubscribeQuery) {
    await this.mails.unsubscribe(token);
  }
}
