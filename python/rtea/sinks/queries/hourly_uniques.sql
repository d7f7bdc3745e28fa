-- Unique visitors by hour and source over the last two days: the sketches of the windows of an hour, merged.
SELECT
  {hour of window_start} AS hour,
  dimension AS source,
  {merged} AS unique_visitors
FROM {table}
WHERE metric = 'unique_visitors'
  AND {since 2 DAY}
GROUP BY hour, source
ORDER BY hour, source;
