-- What a browser brought back is a sign-in, with the user, or an account to link, with the provider's own id of it.
-- Rows live for a minute: there is nothing to rewrite, and hardly anything to check.

-- AlterTable
ALTER TABLE "oauth_codes" ADD COLUMN     "email" TEXT,
ADD COLUMN     "subject" TEXT,
ALTER COLUMN "user_id" DROP NOT NULL,
ADD CONSTRAINT "oauth_codes_is_one_thing" CHECK (num_nonnulls("user_id", "subject") = 1);

-- AlterTable
ALTER TABLE "oauth_flows" ADD COLUMN     "purpose" TEXT NOT NULL DEFAULT 'sign_in';
