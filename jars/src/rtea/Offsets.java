package rtea;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.TopicPartition;

/** Offsets of a topic's partitions, written as {@code partition:offset,...}: py4j passes no map of longs. */
public final class Offsets {
    private Offsets() {}

    static Map<Integer, Long> parse(String text) {
        Map<Integer, Long> offsets = new HashMap<>();
        for (String place : text.isEmpty() ? new String[0] : text.split(",")) {
            String[] parts = place.split(":");
            offsets.put(Integer.valueOf(parts[0]), Long.valueOf(parts[1]));
        }
        return offsets;
    }

    /** Where KafkaSource starts or stops. */
    public static OffsetsInitializer of(String topic, String text) {
        Map<TopicPartition, Long> places = new HashMap<>();
        parse(text).forEach((partition, offset) -> places.put(new TopicPartition(topic, partition), offset));
        return OffsetsInitializer.offsets(places);
    }
}
