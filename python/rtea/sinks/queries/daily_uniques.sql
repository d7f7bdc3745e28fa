-- Unique visitors by day and source over the last 30 days: sketches merge over any span, sums of uniques do not.
SELECT
  {day of window_start} AS day,
  dimension AS source,
  {merged} AS unique_visitors
FROM {table}
WHERE metric = 'unique_visitors'
  AND {since 30 DAY}
GROUP BY day, source
ORDER BY day, source;
