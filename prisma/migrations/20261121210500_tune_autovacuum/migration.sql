-- Settings only: nobody waits for them, and no row is rewritten. By default a table is vacuumed when a fifth of its
-- rows are dead. That is late where rows die all the time, and each dead one is read by whoever passes.

-- One small row for each user, written by every push. No index has the columns that change, so the new version can
-- stay on the page of the old one (HOT), and no index has to be touched or cleaned, as long as there is room: 40 % of
-- each page. The dead go when the page is next read; vacuum gets the rest.
ALTER TABLE "sync_clocks" SET (
    fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.1);

-- Written at each refresh, that is up to four times an hour for each device in use; `expires_at` moves and is indexed,
-- so most new versions cannot be HOT. Room for those that confirm a token, which can.
ALTER TABLE "sessions" SET (
    fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.1);

-- Counts of a minute or an hour, purged hourly: after a flood nearly all rows are dead, and the table is small before.
-- A number, not a share, says when. Counting up leaves the indexed `expire` as it is, so it can be HOT.
ALTER TABLE "rate_limits" SET (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The large tables. Each write gives a row a new version, which is indexed: every update leaves a dead row and dead
-- entries, which pulls would pass. A fifth of ten million rows is too many of them.
ALTER TABLE "projects" SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE "tasks" SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE "notifications" SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.05);

-- All rows live for a day: each day as many die as there are.
ALTER TABLE "sync_answers" SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.1);
