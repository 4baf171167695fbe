-- What people ask for.

-- How an emotion weighs: below 0 it is one for the worse. Labels of a model of your own: add them here.
CREATE TABLE undertone.emotions (
    label text PRIMARY KEY,
    valence smallint NOT NULL
);
INSERT INTO undertone.emotions (label, valence) VALUES
    ('angry', -1), ('anxious', -1), ('disgust', -1), ('fearful', -1), ('frustrated', -1), ('sad', -1),
    ('calm', 0), ('neutral', 0), ('surprised', 0),
    ('happy', 1), ('satisfied', 1);

-- One row per stream: a channel of a call from its start to its end. `label` is that of the whole, NULL until it ends.
CREATE VIEW undertone.streams AS
WITH spoken AS (
    SELECT call_id, channel, role, stream_started_at,
           max(ended_at) AS ended_at, count(*) AS segments, sum(speech_s) AS speech_s
    FROM undertone.segments
    GROUP BY call_id, channel, role, stream_started_at
), ended AS (
    SELECT DISTINCT ON (call_id, channel, role, stream_started_at)
           call_id, channel, role, stream_started_at, ended_at, label, speech_s, ended_by
    FROM undertone.summaries
    ORDER BY call_id, channel, role, stream_started_at, end_sample DESC, kafka_offset DESC
)
SELECT call_id, channel, role, stream_started_at AS started_at,
       greatest(spoken.ended_at, ended.ended_at) AS ended_at,
       ended.label,
       coalesce(spoken.segments, 0) AS segments,
       coalesce(spoken.speech_s, ended.speech_s) AS speech_s,
       ended.ended_by
FROM spoken FULL JOIN ended USING (call_id, channel, role, stream_started_at);

-- One row per call. `label` is the customer's; `is_over` once all its streams have ended.
CREATE VIEW undertone.calls AS
SELECT call_id,
       min(started_at) AS started_at,
       max(ended_at) AS ended_at,
       array_agg(DISTINCT channel) AS channels,
       (array_agg(label ORDER BY (role = 'customer') DESC, speech_s DESC))[1] AS label,
       sum(segments) AS segments,
       sum(speech_s) AS speech_s,
       bool_and(ended_by IS NOT NULL) AS is_over
FROM undertone.streams
GROUP BY call_id;

-- Minutes of speech by emotion, hour and role, by the time at which it was spoken.
CREATE VIEW undertone.minutes_by_emotion AS
SELECT date_trunc('hour', started_at) AS hour, role, label,
       sum(speech_s) / 60 AS minutes,
       count(*) AS segments,
       count(DISTINCT call_id) AS calls
FROM undertone.segments
GROUP BY 1, 2, 3;

-- Utterances for the worse (valence below 0) that follow one that was not, in the same stream. Labels that are not in
-- `emotions`, such as `uncertain`, are passed over.
CREATE VIEW undertone.turns_for_the_worse AS
WITH weighed AS (
    SELECT s.*, e.valence,
           lag(s.label) OVER stream AS label_before, lag(e.valence) OVER stream AS valence_before
    FROM undertone.segments s JOIN undertone.emotions e USING (label)
    WINDOW stream AS (PARTITION BY s.call_id, s.channel, s.stream_started_at ORDER BY s.start_sample)
)
SELECT call_id, channel, role, started_at AS turned_at, label_before, label,
       (start_sample::double precision / sample_rate) AS second, probabilities, id
FROM weighed
WHERE valence < 0 AND valence_before >= 0;
