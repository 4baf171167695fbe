-- Events, one row each, by the event's id; and how far each partition of the topic has been written.

CREATE TABLE undertone.positions (
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    topic text NOT NULL,
    next_offset bigint,               -- the first record that is not written
    epoch bigint NOT NULL,            -- counts the owners: an earlier one cannot write any more
    claimed_at timestamptz NOT NULL DEFAULT now(),
    written_at timestamptz,
    PRIMARY KEY (topic_id, partition)
);

CREATE TABLE undertone.segments (
    id text PRIMARY KEY,
    call_id text NOT NULL,
    channel text NOT NULL,
    role text NOT NULL,
    stream_started_at timestamptz NOT NULL,   -- the moment of sample 0
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    start_sample bigint NOT NULL,
    end_sample bigint NOT NULL,
    sample_rate integer NOT NULL,
    label text NOT NULL,
    probabilities jsonb NOT NULL,
    speech_s double precision NOT NULL,
    level_dbfs double precision,
    pitch_hz double precision,
    model_version text NOT NULL,
    ended_by text,
    audio_topic text,
    audio_partition integer,
    audio_first_offset bigint,
    audio_last_offset bigint,
    kafka_topic text NOT NULL,
    kafka_partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now()
);

-- The same columns; a summary also counts its segments, an update has not ended.
CREATE TABLE undertone.summaries (LIKE undertone.segments INCLUDING ALL);
ALTER TABLE undertone.summaries ADD COLUMN segments bigint NOT NULL;
CREATE TABLE undertone.updates (LIKE undertone.segments INCLUDING ALL);
ALTER TABLE undertone.updates DROP COLUMN ended_by;

CREATE INDEX segments_call ON undertone.segments (call_id, channel, stream_started_at, start_sample);
CREATE INDEX segments_time ON undertone.segments (started_at);
CREATE INDEX summaries_call ON undertone.summaries (call_id, channel, stream_started_at);
CREATE INDEX summaries_time ON undertone.summaries (ended_at);
CREATE INDEX updates_call ON undertone.updates (call_id, channel, stream_started_at, start_sample);
