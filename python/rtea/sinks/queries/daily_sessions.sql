-- Sessions by day and source over the last 30 days: needs the metric sessions. A session that lasts over midnight counts on both days.
SELECT
  {day of window_start} AS day,
  dimension AS source,
  {merged} AS sessions
FROM {table}
WHERE metric = 'sessions'
  AND {since 30 DAY}
GROUP BY day, source
ORDER BY day, source;
