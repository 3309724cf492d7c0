-- CreateTable
CREATE TABLE "secret_ages" (
    "name" TEXT NOT NULL,
    "fingerprint" TEXT NOT NULL,
    "first_used_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "secret_ages_pkey" PRIMARY KEY ("name","fingerprint")
);
