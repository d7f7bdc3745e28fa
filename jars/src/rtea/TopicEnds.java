package rtea;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.admin.Admin;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.admin.ListOffsetsResult;
import org.apache.flink.kafka.shaded.org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Asks Kafka where a topic's partitions begin and end, from a thread of its own. */
final class TopicEnds implements Looks {
    private static final Logger LOG = LoggerFactory.getLogger(TopicEnds.class);
    private static final int ANSWER_MS = 2_000;
    private static final long OFTEN_MS = 250;

    /** New partitions must be known before the events of others make theirs late. */
    private static final long SELDOM_MS = 3_000;

    private static final long TELL_AFTER_MS = 30_000;

    private final String topic;
    private final String committedOf;
    private final Admin admin;
    private final ScheduledExecutorService thread;
    private volatile boolean isHurried = true;
    private volatile Look last;
    private long lastTryMs;
    private long failingSinceMs;
    private boolean isTold;

    /**
     * @param committedOf the consumer group whose committed offsets each look finds; empty for none
     */
    TopicEnds(String topic, String committedOf, Properties properties) {
        this.topic = topic;
        this.committedOf = committedOf;
        admin = Admin.create(properties);
        thread =
                Executors.newSingleThreadScheduledExecutor(
                        task -> {
                            Thread made = new Thread(task, "rtea-topic-ends");
                            made.setDaemon(true);
                            return made;
                        });
        thread.scheduleWithFixedDelay(this::lookIfDue, 0, OFTEN_MS, TimeUnit.MILLISECONDS);
    }

    @Override
    public Look last() {
        return last;
    }

    @Override
    public void hurry(boolean isWanted) {
        isHurried = isWanted;
    }

    private void lookIfDue() {
        long nowMs = System.currentTimeMillis();
        // The clock may have been set back.
        if (last != null && !isHurried && Math.abs(nowMs - lastTryMs) < SELDOM_MS) {
            return;
        }
        lastTryMs = nowMs;
        try {
            last = look(nowMs);
            failingSinceMs = 0;
            isTold = false;
        } catch (InterruptedException exception) {
            Thread.currentThread().interrupt();
        } catch (Throwable failure) {
            // A thread that throws is never scheduled again, and the watermark would stand still for good.
            tell(failure, nowMs);
        }
    }

    private Look look(long beganMs) throws ExecutionException, InterruptedException {
        Set<Integer> partitions = new TreeSet<>();
        admin.describeTopics(Set.of(topic), new DescribeTopicsOptions().timeoutMs(ANSWER_MS))
                .topicNameValues()
                .get(topic)
                .get()
                .partitions()
                .forEach(partition -> partitions.add(partition.partition()));
        ListOffsetsResult beginnings = ask(partitions, OffsetSpec.earliest());
        ListOffsetsResult ends = ask(partitions, OffsetSpec.latest());
        return new Look(beganMs, partitions, answers(partitions, beginnings), answers(partitions, ends), committed());
    }

    private ListOffsetsResult ask(Set<Integer> partitions, OffsetSpec spec) {
        Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
        partitions.forEach(partition -> wanted.put(new TopicPartition(topic, partition), spec));
        return admin.listOffsets(wanted, new ListOffsetsOptions().timeoutMs(ANSWER_MS));
    }

    private Map<Integer, Long> answers(Set<Integer> partitions, ListOffsetsResult asked) throws InterruptedException {
        Map<Integer, Long> offsets = new HashMap<>();
        for (int partition : partitions) {
            try {
                offsets.put(partition, asked.partitionResult(new TopicPartition(topic, partition)).get().offset());
            } catch (ExecutionException exception) {
                LOG.debug("Partition {} of topic {} does not answer.", partition, topic, exception);
            }
        }
        return offsets;
    }

    private Map<Integer, Long> committed() throws InterruptedException {
        Map<Integer, Long> offsets = new HashMap<>();
        if (committedOf.isEmpty()) {
            return offsets;
        }
        try {
            admin.listConsumerGroupOffsets(committedOf)
                    .partitionsToOffsetAndMetadata()
                    .get()
                    .forEach(
                            (partition, offset) -> {
                                if (partition.topic().equals(topic) && offset != null) {
                                    offsets.put(partition.partition(), offset.offset());
                                }
                            });
        } catch (ExecutionException exception) {
            LOG.debug("The group {} does not say what it committed.", committedOf, exception);
        }
        return offsets;
    }

    private void tell(Throwable failure, long nowMs) {
        if (failingSinceMs == 0) {
            failingSinceMs = nowMs;
        }
        if (!isTold && nowMs - failingSinceMs >= TELL_AFTER_MS) {
            isTold = true;
            LOG.warn(
                    "Kafka has not said for {} s where topic {} ends: quiet partitions hold the watermark back.",
                    (nowMs - failingSinceMs) / 1_000,
                    topic,
                    failure);
        } else {
            LOG.debug("Kafka does not say where topic {} ends.", topic, failure);
        }
    }

    @Override
    public void close() {
        thread.shutdownNow();
        admin.close(Duration.ZERO);
    }
}
