import { Body, Controller, Delete, Get, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import {
  ListNotificationsQuery,
  NotificationId,
  NotificationPage,
  NotificationPreferences,
  UnreadCount,
  UpdateNotificationPreferencesBody,
} from '@rind/contracts';
import { ApiRoute } from '../platform/http/api-route.decorator.js';
import { CurrentPrincipal } from '../platform/http/current-principal.decorator.js';
import type { Principal } from '../platform/http/principal.js';
import { NotificationFeedService } from './notification-feed.service.js';
import { NotificationPreferencesService } from './notification-preferences.service.js';

@ApiTags('notifications')
@Controller('notifications')
export class NotificationsController {
  constructor(
    private readonly feed: NotificationFeedService,
    private readonly preferences: NotificationPreferencesService,
  ) {}

  @Get()
  @ApiRoute({
    operationId: 'listNotifications',
    summary: 'What the user was told, newest first',
    answers: [{ status: 200, description: 'A page', schema: NotificationPage }],
    problems: ['validation_failed'],
  })
  list(
    @CurrentPrincipal() { userId }: Principal,
    @Query({ schema: ListNotificationsQuery }) query: ListNotificationsQuery,
  ): Promise<NotificationPage> {
    return this.feed.list(userId, query);
  }

  @Get('unread-count')
  @ApiRoute({
    operationId: 'countUnreadNotifications',
    summary: 'How many are not read yet',
    answers: [{ status: 200, description: 'The number', schema: UnreadCount }],
  })
  async countUnread(@CurrentPrincipal() { userId }: Principal): Promise<UnreadCount> {
    return { count: await this.feed.countUnread(userId) };
  }

  @Post('read-all')
  @ApiRoute({
    operationId: 'readAllNotifications',
    summary: 'Mark all as read that there are now',
    answers: [{ status: 204, description: 'They are read' }],
  })
  async readAll(@CurrentPrincipal() { userId }: Principal): Promise<void> {
    await this.feed.readAll(userId);
  }

  @Post(':id/read')
  @ApiRoute({
    operationId: 'readNotification',
    summary: 'Mark one as read',
    answers: [{ status: 204, description: 'It is read; once read, it keeps the time' }],
    problems: ['validation_failed', 'not_found'],
  })
  async read(
    @CurrentPrincipal() { userId }: Principal,
    @Param('id', { schema: NotificationId }) id: string,
  ): Promise<void> {
    await this.feed.read(userId, id);
  }

  @Delete(':id')
  @ApiRoute({
    operationId: 'deleteNotification',
    summary: 'Delete one',
    answers: [{ status: 204, description: 'It is deleted, or was before' }],
    problems: ['validation_failed', 'not_found'],
  })
  async delete(
    @CurrentPrincipal() { userId }: Principal,
    @Param('id', { schema: NotificationId }) id: string,
  ): Promise<void> {
    await this.feed.delete(userId, id);
  }

  @Get('preferences')
  @ApiRoute({
    operationId: 'getNotificationPreferences',
    summary: 'Where the user is told of what',
    answers: [{ status: 200, description: 'Of every type', schema: NotificationPreferences }],
  })
  async getPreferences(
    @CurrentPrincipal() { userId }: Principal,
  ): Promise<NotificationPreferences> {
    return { preferences: await this.preferences.get(userId) };
  }

  @Patch('preferences')
  @ApiRoute({
    operationId: 'updateNotificationPreferences',
    summary: 'Choose where to be told of what',
    description: 'Mails about the security of the account cannot be switched off.',
    answers: [{ status: 200, description: 'As of now', schema: NotificationPreferences }],
    problems: ['validation_failed'],
  })
  async updatePreferences(
    @CurrentPrincipal() { userId }: Principal,
    @Body({ schema: UpdateNotificationPreferencesBody })
    { preferences }: UpdateNotificationPreferencesBody,
  ): Promise<NotificationPreferences> {
    return { preferences: await this.preferences.update(userId, preferences) };
  }
}
