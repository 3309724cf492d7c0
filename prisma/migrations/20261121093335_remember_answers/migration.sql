-- CreateTable
CREATE TABLE "sync_answers" (
    "user_id" UUID NOT NULL,
    "digest" BYTEA NOT NULL,
    "answer" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "sync_answers_pkey" PRIMARY KEY ("user_id","digest")
);

-- CreateIndex
CREATE INDEX "sync_answers_created_at_idx" ON "sync_answers"("created_at");

-- AddForeignKey
ALTER TABLE "sync_answers" ADD CONSTRAINT "sync_answers_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "sync_clocks"("user_id") ON DELETE CASCADE ON UPDATE CASCADE;
