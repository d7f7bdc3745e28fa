package rivals;

import java.time.Duration;

/** What the benchmark tells a rival on its command line, in this order. */
public final class Settings {
    public final String bootstrapServers;
    public final String topic;
    public final String rowsTopic;
    public final String lettersTopic;
    public final int parallelism;
    public final Duration window;
    public final Duration delay;
    public final Duration idle;
    public final Duration lateness;
    public final Duration checkpoints;

    public Settings(String[] arguments) {
        bootstrapServers = arguments[0];
        topic = arguments[1];
        rowsTopic = arguments[2];
        lettersTopic = arguments[3];
        parallelism = Integer.parseInt(arguments[4]);
        window = Duration.ofMillis(Long.parseLong(arguments[5]));
        delay = Duration.ofMillis(Long.parseLong(arguments[6]));
        idle = Duration.ofMillis(Long.parseLong(arguments[7]));
        lateness = Duration.ofMillis(Long.parseLong(arguments[8]));
        checkpoints = Duration.ofMillis(Long.parseLong(arguments[9]));
    }
}
