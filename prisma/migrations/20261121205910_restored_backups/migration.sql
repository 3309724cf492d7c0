-- CreateTable
CREATE TABLE "sync_lost_intervals" (
    "user_id" UUID NOT NULL,
    "lost_from" BIGINT NOT NULL,
    "lost_to" BIGINT NOT NULL,
    "timeline_before" UUID NOT NULL,
    "timeline_after" UUID NOT NULL,
    "restored_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "sync_lost_intervals_pkey" PRIMARY KEY ("user_id","lost_from")
);

-- CreateTable
CREATE TABLE "sync_marker" (
    "id" BOOLEAN NOT NULL DEFAULT true,
    "system_identifier" BIGINT,
    "wal_timeline" INTEGER,
    "clocks_file" TEXT NOT NULL,

    CONSTRAINT "sync_marker_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "sync_marker_single" CHECK ("id")
);

-- AddForeignKey
ALTER TABLE "sync_lost_intervals" ADD CONSTRAINT "sync_lost_intervals_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "sync_clocks"("user_id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Devices keep cursors, and records that only they have. After a restored backup their cursors may be above the
-- clocks in it, and must not be: what is written next would get versions that a device believes to know.

-- What tells this database from its copies. A managed server may refuse the first two: they are null then.
-- Each writer asks: assignments need no plans.
CREATE FUNCTION sync_database_identity(
  OUT system_identifier bigint, OUT wal_timeline integer, OUT clocks_file text
) LANGUAGE plpgsql AS $$
BEGIN
  BEGIN
    system_identifier := (pg_control_system()).system_identifier;
  EXCEPTION WHEN insufficient_privilege OR undefined_function OR feature_not_supported THEN NULL;
  END;
  BEGIN
    -- Not that of pg_control_checkpoint(), which is the old one until a checkpoint after a promotion is done.
    -- Fails on a standby, which cannot be written to.
    wal_timeline := ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer;
  EXCEPTION WHEN insufficient_privilege OR undefined_function OR feature_not_supported THEN NULL;
  END;
  -- Names the database, and the file that the rows are in: tables that are made anew, or emptied, have another one.
  clocks_file := pg_relation_filepath(to_regclass('sync_clocks'));
END $$;

-- Moves every clock above all that devices may have been given, keeps the interval between, and makes the marker
-- say that it was done here. Rows and floors stay as they are: each device goes on from its cursor, and nobody is
-- told to replace what only that device may still have. Answers how many clocks there are.
CREATE FUNCTION sync_mark_restored() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  -- A day ahead of the time: what devices have may come from a server whose clock was ahead of this one's.
  ahead bigint;
  clocks bigint;
BEGIN
  -- First, as sync_notice_restore() has it when it comes here: the other way round the two could deadlock.
  LOCK TABLE sync_marker IN EXCLUSIVE MODE;
  -- Whoever writes waits, whoever reads does not. The whole table: rows one by one could deadlock.
  LOCK TABLE sync_clocks IN EXCLUSIVE MODE;
  ahead := floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + 86400000;
  INSERT INTO sync_lost_intervals (user_id, lost_from, lost_to, timeline_before, timeline_after, restored_at)
    SELECT user_id, version, greatest(version + 1, ahead), timeline, gen_random_uuid(), clock_timestamp()
    FROM sync_clocks;
  GET DIAGNOSTICS clocks = ROW_COUNT;
  UPDATE sync_clocks c SET version = i.lost_to, timeline = i.timeline_after
    FROM sync_lost_intervals i WHERE i.user_id = c.user_id AND i.lost_from = c.version;
  DELETE FROM sync_marker;
  INSERT INTO sync_marker (system_identifier, wal_timeline, clocks_file)
    SELECT * FROM sync_database_identity();
  -- To all instances: whoever finds the marker renewed does not see that anything was different.
  PERFORM pg_notify('rind_restored', '');
  RETURN clocks;
END $$;

-- What of the marker differs from the database that it lies in: nothing, unless this is a copy; all, without a marker.
CREATE FUNCTION sync_marker_differences() RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  identity record := sync_database_identity();
  marker record;
BEGIN
  SELECT system_identifier, wal_timeline, clocks_file INTO marker FROM sync_marker;
  RETURN array_remove(ARRAY[
    CASE WHEN marker.system_identifier IS DISTINCT FROM identity.system_identifier THEN 'system_identifier' END,
    CASE WHEN marker.wal_timeline IS DISTINCT FROM identity.wal_timeline THEN 'wal_timeline' END,
    CASE WHEN marker.clocks_file IS DISTINCT FROM identity.clocks_file THEN 'clocks_file' END
  ], NULL);
END $$;

-- Marks the database as restored where there is a difference: once, however many ask at a time.
CREATE FUNCTION sync_notice_restore(OUT differences text[], OUT clocks bigint) LANGUAGE plpgsql AS $$
BEGIN
  -- Keys come last when a dump is put back, after all rows.
  IF NOT EXISTS (SELECT FROM sync_marker) OR NOT EXISTS (
    SELECT FROM pg_constraint WHERE confrelid = to_regclass('sync_clocks') AND contype = 'f'
  ) THEN
    RAISE EXCEPTION 'The database is incomplete: sync_marker is empty, or no foreign key leads to sync_clocks'
      USING ERRCODE = 'object_not_in_prerequisite_state',
        HINT = 'When a backup has been put back completely, run db:mark-restored';
  END IF;
  differences := sync_marker_differences();
  IF differences = '{}' THEN RETURN; END IF;
  LOCK TABLE sync_marker IN EXCLUSIVE MODE;
  differences := sync_marker_differences();
  IF differences <> '{}' THEN clocks := sync_mark_restored(); END IF;
END $$;

-- The first marker. Whether the clocks that there are come from a backup that an earlier release put back,
-- nobody can tell: to treat them so costs their devices nothing.
-- rind:allow hidden-statements because the function stands above, and changes one row for each user
SELECT sync_mark_restored();
