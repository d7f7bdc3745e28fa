-- Revenue by day, product category and currency over the last 30 days. Currencies are never added up.
SELECT
  {day of window_start} AS day,
  dimension AS category,
  currency,
  SUM(revenue) AS revenue
FROM {table}
WHERE metric = 'revenue'
  AND {since 30 DAY}
GROUP BY day, category, currency
ORDER BY day, category, currency;
