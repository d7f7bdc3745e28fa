package rivals;

/** The rows that every rival writes: one JSON object each, which the benchmark compares with the manifest. */
public final class Rows {
    private Rows() {}

    /** A row; {@code dimension} and {@code currency} need no escapes. */
    public static String row(long windowStartMs, String metric, String dimension, String currency, long value) {
        return "{\"window_start_ms\":" + windowStartMs + ",\"metric\":\"" + metric + "\",\"dimension\":\"" + dimension
                + "\",\"currency\":\"" + currency + "\",\"value\":" + value + "}";
    }
}
