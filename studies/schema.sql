-- The store of one study. Events are appended and never changed; everything else is derived from them.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL            -- JSON
) WITHOUT ROWID;

CREATE TABLE events (
    seq   INTEGER PRIMARY KEY,     -- 1, 2, 3, … without a gap
    kind  TEXT NOT NULL,
    trial INTEGER,                 -- NULL for events of the whole study
    at    REAL NOT NULL,           -- seconds since the epoch
    body  TEXT NOT NULL,           -- JSON
    "check" TEXT NOT NULL          -- digest of the previous check and this row
);

CREATE INDEX events_by_trial ON events (trial, kind);

CREATE TRIGGER events_keep BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;

-- One row per report and metric. Reports that a later attempt made again do not count.
CREATE VIEW curves AS
SELECT e.trial                                AS trial,
       json_extract(e.body, '$.step')         AS step,
       m.key                                  AS metric,
       m.value                                AS value,
       json_extract(e.body, '$.seconds')      AS seconds,
       e.at                                   AS at
FROM events e, json_each(e.body, '$.metrics') m
WHERE e.kind = 'reported'
  AND NOT EXISTS (SELECT 1 FROM events s
                  WHERE s.trial = e.trial AND s.kind = 'started' AND s.seq > e.seq
                    AND json_extract(s.body, '$.from_step') < json_extract(e.body, '$.step'));

-- One row per trial. `value` is the study's metric as last reported.
CREATE VIEW trials AS
SELECT p.trial AS number,
       CASE last.kind
           WHEN 'ended' THEN json_extract(last.body, '$.outcome')
           WHEN 'started' THEN 'running'
           WHEN 'paused' THEN 'paused'
           ELSE 'waiting'
       END AS state,
       (SELECT c.value FROM curves c
        WHERE c.trial = p.trial AND c.metric = (SELECT json_extract(value, '$.metric') FROM meta WHERE key = 'study')
        ORDER BY c.step DESC LIMIT 1) AS value,
       (SELECT max(c.step) FROM curves c WHERE c.trial = p.trial) AS steps,
       json_extract(p.body, '$.config') AS config,
       json_extract(p.body, '$.note') AS note,
       (SELECT count(*) FROM events s WHERE s.trial = p.trial AND s.kind = 'started') AS attempts,
       p.at AS proposed_at,
       (SELECT max(s.at) FROM events s WHERE s.trial = p.trial AND s.kind = 'started') AS started_at,
       CASE last.kind WHEN 'ended' THEN last.at END AS ended_at,
       CASE last.kind WHEN 'ended' THEN json_extract(last.body, '$.reason') END AS reason
FROM events p
JOIN events last ON last.seq = (
    SELECT max(seq) FROM events
    WHERE trial = p.trial AND kind IN ('proposed', 'started', 'paused', 'extended', 'lost', 'ended'))
WHERE p.kind = 'proposed';
