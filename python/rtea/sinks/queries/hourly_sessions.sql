-- Sessions by hour and source over the last two days: needs the metric sessions.
SELECT
  {hour of window_start} AS hour,
  dimension AS source,
  {merged} AS sessions
FROM {table}
WHERE metric = 'sessions'
  AND {since 2 DAY}
GROUP BY hour, source
ORDER BY hour, source;
