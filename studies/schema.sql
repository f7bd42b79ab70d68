-- The store of one study. Events are append-only; everything else is derived from them.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL            -- JSON
) WITHOUT ROWID;

CREATE TABLE events (
    seq   INTEGER PRIMARY KEY,     -- 1, 2, 3, … without gaps
    kind  TEXT NOT NULL,
    trial INTEGER,                 -- NULL for events of the whole study
    at    REAL NOT NULL,           -- seconds since the epoch
    body  TEXT NOT NULL,           -- JSON
    "check" TEXT NOT NULL          -- digest of the previous row's check and this row
);

CREATE INDEX events_by_trial ON events (trial, kind);

CREATE TRIGGER events_keep BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

-- One row per report and metric, without reports that were discarded because a later attempt repeated their steps. `run`
-- is 0 for a trial's first run, under its own seed, and 1, 2, … for its repeats under other seeds. If a metric was
-- reported twice for one step, the row with the higher `seq` is valid.
CREATE VIEW curves AS
SELECT e.trial                                AS trial,
       (SELECT count(*) FROM events r
        WHERE r.trial = e.trial AND r.kind = 'run_completed' AND r.seq < e.seq) AS run,
       json_extract(e.body, '$.step')         AS step,
       m.key                                  AS metric,
       m.value                                AS value,
       json_extract(e.body, '$.seconds')      AS seconds,
       e.at                                   AS at,
       e.seq                                  AS seq
FROM events e, json_each(e.body, '$.metrics') m
WHERE e.kind = 'reported'
  AND NOT EXISTS (SELECT 1 FROM events s
                  WHERE s.trial = e.trial AND s.kind = 'started' AND s.seq > e.seq
                    AND json_extract(s.body, '$.from_step') < json_extract(e.body, '$.step')
                    AND NOT EXISTS (SELECT 1 FROM events r
                                    WHERE r.trial = e.trial AND r.kind = 'run_completed'
                                      AND r.seq BETWEEN e.seq AND s.seq));

-- One row per trial. `value` is the last reported value of the first goal's metric, or its mean over the complete runs.
CREATE VIEW trials AS
SELECT p.trial AS number,
       CASE last.kind
           WHEN 'ended' THEN json_extract(last.body, '$.outcome')
           WHEN 'started' THEN 'running'
           WHEN 'paused' THEN 'paused'
           ELSE 'waiting'
       END AS state,
       (SELECT avg(c.value) FROM curves c
        WHERE c.trial = p.trial
          AND c.metric = (SELECT json_extract(value, '$.goals[0].metric') FROM meta WHERE key = 'study')
          AND c.seq = (SELECT max(d.seq) FROM curves d
                       WHERE d.trial = c.trial AND d.run = c.run AND d.metric = c.metric)
          AND (c.run = 0 OR json_extract(last.body, '$.outcome') = 'finished'
               OR c.run < (SELECT count(*) FROM events r WHERE r.trial = p.trial AND r.kind = 'run_completed'))) AS value,
       (SELECT max(c.step) FROM curves c WHERE c.trial = p.trial AND c.run = 0) AS steps,
       json_extract(p.body, '$.config') AS config,
       json_extract(p.body, '$.proposer') AS proposer,
       (SELECT count(*) FROM events s WHERE s.trial = p.trial AND s.kind = 'started') AS attempts,
       p.at AS proposed_at,
       (SELECT max(s.at) FROM events s WHERE s.trial = p.trial AND s.kind = 'started') AS started_at,
       CASE last.kind WHEN 'ended' THEN last.at END AS ended_at,
       CASE last.kind WHEN 'ended' THEN json_extract(last.body, '$.reason') END AS reason
FROM events p
JOIN events last ON last.seq = (
    SELECT max(seq) FROM events
    WHERE trial = p.trial AND kind IN ('proposed', 'started', 'paused', 'extended', 'run_completed', 'lost', 'ended'))
WHERE p.kind = 'proposed';
