package rtea;

/** Looks at the events topic, again and again. */
interface Looks extends AutoCloseable {
    /** The last look that Kafka answered, or null. */
    Look last();

    /** Looks often, because a partition may be idle; else only as often as new partitions need it. */
    void hurry(boolean isWanted);

    @Override
    void close();
}
