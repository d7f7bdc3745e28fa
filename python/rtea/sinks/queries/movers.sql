-- What changed most against the hour before: event counts of the newest whole hour and of the hour before it.
SELECT
  dimension,
  last_hour,
  hour_before,
  last_hour - hour_before AS difference,
  last_hour / NULLIF(hour_before, 0) AS ratio
FROM (
  SELECT
    dimension,
    SUM(CASE WHEN window_start >= {hour_end - 1 HOUR} THEN event_count ELSE 0 END) AS last_hour,
    SUM(CASE WHEN window_start < {hour_end - 1 HOUR} THEN event_count ELSE 0 END) AS hour_before
  FROM {table}
  CROSS JOIN (
    SELECT {hour of MAX(window_end)} AS hour_end FROM {table} WHERE metric = 'event_count' AND COALESCE(is_final, TRUE) AND {since 2 DAY}
  ) AS newest
  WHERE metric = 'event_count'
    AND {since 3 DAY}
    AND window_start >= {hour_end - 2 HOUR}
    AND window_start < hour_end
  GROUP BY dimension
) AS counted
ORDER BY ABS(last_hour - hour_before) DESC, dimension;
