-- Orders, revenue and average order value by day over the last 30 days: needs the metric orders. Orders have no currency,
-- so there is no average on a day with several currencies.
SELECT
  day,
  currency,
  orders,
  revenue,
  CASE WHEN currencies = 1 THEN revenue / NULLIF(orders, 0) END AS average_order_value
FROM (
  SELECT {day of window_start} AS day, currency, SUM(revenue) AS revenue
  FROM {table}
  WHERE metric = 'revenue' AND {since 30 DAY}
  GROUP BY day, currency
) AS by_currency
JOIN (
  SELECT
    {day of window_start} AS day,
    SUM(CASE WHEN metric = 'orders' THEN event_count END) AS orders,
    COUNT(DISTINCT CASE WHEN metric = 'revenue' THEN currency END) AS currencies
  FROM {table}
  WHERE metric IN ('orders', 'revenue') AND {since 30 DAY}
  GROUP BY day
) AS by_day USING (day)
ORDER BY day, currency;
