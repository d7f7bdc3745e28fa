package rivals;

import java.io.IOException;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Reducer;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.state.WindowStore;
import org.apache.kafka.common.utils.Bytes;

/** The windows in Kafka Streams' own language: groupBy, windowedBy, aggregate. Rows are updates; the last one counts. */
public final class StreamsApp {
    private static final Serde<String> TEXT = Serdes.String();

    private StreamsApp() {}

    /** The arguments: the application's name, then those of {@link Settings}. */
    public static void main(String[] arguments) {
        Settings settings = new Settings(Arrays.copyOfRange(arguments, 1, arguments.length));
        // Partitions are read at different speeds, and each task has its own time: a short grace would lose events.
        TimeWindows windows = TimeWindows.ofSizeAndGrace(settings.window, Duration.ofDays(1));
        StreamsBuilder builder = new StreamsBuilder();
        KStream<byte[], byte[]> values =
                builder.stream(settings.topic, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()));
        KStream<byte[], Parsed> parsed = values.mapValues(StreamsApp::parse);
        KStream<byte[], Event> events =
                parsed.filter((key, value) -> value.event != null).mapValues(value -> value.event);
        parsed.filter((key, value) -> value.event == null)
                .mapValues(value -> value.letter)
                .to(settings.lettersTopic, Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
        Grouped<String, Long> grouped = Grouped.with(TEXT, Serdes.Long());
        Materialized<String, Long, WindowStore<Bytes, byte[]>> sums = Materialized.with(TEXT, Serdes.Long());
        Reducer<Long> sum = Long::sum;
        KTable<Windowed<String>, Long> counts =
                events.map((key, event) -> KeyValue.pair(event.kind(), 1L))
                        .groupByKey(grouped)
                        .windowedBy(windows)
                        .reduce(sum, sums);
        KTable<Windowed<String>, Long> revenue =
                events.filter((key, event) -> event.isPurchase())
                        .flatMap(
                                (key, event) ->
                                        event.items.stream()
                                                .map(
                                                        item ->
                                                                KeyValue.pair(
                                                                        item.category + "|" + event.currency,
                                                                        item.minorUnits()))
                                                .collect(Collectors.toList()))
                        .groupByKey(grouped)
                        .windowedBy(windows)
                        .reduce(sum, Materialized.with(TEXT, Serdes.Long()));
        KTable<String, Long> visitors =
                events.map((key, event) -> KeyValue.pair(event.source + "|" + event.visitorId, ""))
                        .groupByKey(Grouped.with(TEXT, TEXT))
                        .windowedBy(windows)
                        .reduce((first, second) -> first, Materialized.with(TEXT, TEXT))
                        .groupBy(
                                (key, any) ->
                                        KeyValue.pair(key.window().start() + "|" + key.key().split("\\|")[0], any),
                                Grouped.with(TEXT, TEXT))
                        .count(Materialized.with(TEXT, Serdes.Long()));
        write(counts.toStream().map(StreamsApp::named), "event_count", settings);
        write(revenue.toStream().map(StreamsApp::named), "revenue", settings);
        write(visitors.toStream(), "unique_visitors", settings);
        run(builder.build(), arguments[0], settings);
    }

    private static final class Parsed {
        final Event event;
        final byte[] letter;

        Parsed(Event event, byte[] letter) {
            this.event = event;
            this.letter = letter;
        }
    }

    private static Parsed parse(byte[] value) {
        try {
            return new Parsed(Event.parse(value), null);
        } catch (IOException exception) {
            return new Parsed(null, value);
        }
    }

    private static KeyValue<String, Long> named(Windowed<String> key, Long value) {
        return KeyValue.pair(key.window().start() + "|" + key.key(), value);
    }

    /** Writes values whose keys are {@code window start|dimension} or {@code window start|dimension|currency}. */
    private static void write(KStream<String, Long> values, String metric, Settings settings) {
        values.map(
                        (key, value) -> {
                            String[] names = key.split("\\|");
                            String currency = names.length > 2 ? names[2] : "";
                            String row = Rows.row(Long.parseLong(names[0]), metric, names[1], currency, value);
                            return KeyValue.pair(key, row);
                        })
                .to(settings.rowsTopic, Produced.with(TEXT, TEXT));
    }

    private static void run(Topology topology, String name, Settings settings) {
        KafkaStreams streams = new KafkaStreams(topology, properties(name, settings));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(5))));
        streams.start();
    }

    private static Properties properties(String name, Settings settings) {
        Properties properties = new Properties();
        properties.putAll(
                Map.of(
                        StreamsConfig.APPLICATION_ID_CONFIG, name,
                        StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, settings.bootstrapServers,
                        StreamsConfig.NUM_STREAM_THREADS_CONFIG, settings.parallelism,
                        StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, settings.checkpoints.toMillis(),
                        StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20,
                        StreamsConfig.STATE_DIR_CONFIG, System.getProperty("java.io.tmpdir") + "/" + name,
                        "auto.offset.reset", "earliest"));
        return properties;
    }
}
