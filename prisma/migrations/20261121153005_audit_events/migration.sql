-- AlterTable
ALTER TABLE "users" ADD COLUMN     "audit_subject_id" UUID NOT NULL DEFAULT gen_random_uuid();

-- CreateTable
CREATE TABLE "audit_events" (
    "id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
    "subject_id" UUID,
    "user_id" UUID,
    "actor_id" UUID,
    "session_id" UUID,
    "action" TEXT NOT NULL,
    "reason" TEXT,
    "detail" JSONB,
    "ip" TEXT,
    "user_agent" TEXT,
    "request_id" TEXT,

    CONSTRAINT "audit_events_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "audit_events_user_id_id_idx" ON "audit_events"("user_id", "id");

-- CreateIndex
CREATE INDEX "audit_events_action_id_idx" ON "audit_events"("action", "id");

-- CreateIndex
CREATE INDEX "audit_events_actor_id_idx" ON "audit_events"("actor_id");

-- CreateIndex
CREATE UNIQUE INDEX "users_audit_subject_id_key" ON "users"("audit_subject_id");

-- AddForeignKey
ALTER TABLE "audit_events" ADD CONSTRAINT "audit_events_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "audit_events" ADD CONSTRAINT "audit_events_actor_id_fkey" FOREIGN KEY ("actor_id") REFERENCES "users"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- Whoever deletes an account, and however: what is personal in its events goes with it, in the same
-- transaction. What it did to others stays told, without who and from where.
CREATE FUNCTION forget_audited_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE audit_events SET user_id = NULL, ip = NULL, user_agent = NULL, detail = NULL WHERE user_id = OLD.id;
  UPDATE audit_events SET actor_id = NULL, ip = NULL, user_agent = NULL WHERE actor_id = OLD.id;
  RETURN OLD;
END $$;

CREATE TRIGGER forget_audited_user BEFORE DELETE ON "users"
  FOR EACH ROW EXECUTE FUNCTION forget_audited_user();
