-- CreateTable
CREATE TABLE "notifications" (
    "user_id" UUID NOT NULL,
    "id" TEXT COLLATE "C" NOT NULL,
    "type" TEXT NOT NULL,
    "title" TEXT NOT NULL,
    "body" TEXT NOT NULL,
    "data" TEXT NOT NULL,
    "read_at" DOUBLE PRECISION,
    "created_at" DOUBLE PRECISION NOT NULL,
    "version" BIGINT NOT NULL,
    "is_deleted" BOOLEAN NOT NULL DEFAULT false,

    CONSTRAINT "notifications_pkey" PRIMARY KEY ("user_id","id")
);

-- CreateIndex
CREATE INDEX "notifications_user_id_version_idx" ON "notifications"("user_id", "version");

-- CreateIndex
CREATE INDEX "notifications_user_id_read_at_idx" ON "notifications"("user_id", "read_at");

-- CreateIndex
CREATE INDEX "notifications_user_id_created_at_idx" ON "notifications"("user_id", "created_at");

-- AddForeignKey
ALTER TABLE "notifications" ADD CONSTRAINT "notifications_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "sync_clocks"("user_id") ON DELETE CASCADE ON UPDATE CASCADE;
