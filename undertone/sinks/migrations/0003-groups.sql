-- What events say beside the label: its group, arousal and valence, and how an utterance stands to its speaker's others.

ALTER TABLE undertone.segments
    ADD COLUMN emotion_group text, ADD COLUMN emotion_groups jsonb,
    ADD COLUMN arousal double precision, ADD COLUMN valence double precision,
    ADD COLUMN relative_level double precision, ADD COLUMN relative_pitch double precision,
    ADD COLUMN relative_arousal double precision;
ALTER TABLE undertone.summaries
    ADD COLUMN emotion_group text, ADD COLUMN emotion_groups jsonb,
    ADD COLUMN arousal double precision, ADD COLUMN valence double precision,
    ADD COLUMN relative_level double precision, ADD COLUMN relative_pitch double precision,
    ADD COLUMN relative_arousal double precision;
ALTER TABLE undertone.updates
    ADD COLUMN emotion_group text, ADD COLUMN emotion_groups jsonb,
    ADD COLUMN arousal double precision, ADD COLUMN valence double precision,
    ADD COLUMN relative_level double precision, ADD COLUMN relative_pitch double precision,
    ADD COLUMN relative_arousal double precision;

-- A model's own groups decide what is for the worse; `emotions` where an event has none.
CREATE OR REPLACE VIEW undertone.turns_for_the_worse AS
WITH weighed AS (
    SELECT s.call_id, s.channel, s.role, s.stream_started_at, s.started_at, s.start_sample, s.sample_rate,
           s.label, s.probabilities, s.id,
           CASE s.emotion_group
               WHEN 'negative' THEN -1 WHEN 'neutral' THEN 0 WHEN 'positive' THEN 1 WHEN 'uncertain' THEN NULL
               ELSE e.valence
           END AS weight
    FROM undertone.segments s LEFT JOIN undertone.emotions e USING (label)
    WHERE s.label <> 'uncertain'
), compared AS (
    SELECT weighed.*, lag(label) OVER stream AS label_before, lag(weight) OVER stream AS weight_before
    FROM weighed
    WHERE weight IS NOT NULL
    WINDOW stream AS (PARTITION BY call_id, channel, stream_started_at ORDER BY start_sample)
)
SELECT call_id, channel, role, started_at AS turned_at, label_before, label,
       (start_sample::double precision / sample_rate) AS second, probabilities, id
FROM compared
WHERE weight < 0 AND weight_before >= 0;
