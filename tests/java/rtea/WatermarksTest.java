package rtea;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.streaming.api.watermark.Watermark;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.runtime.watermarkstatus.WatermarkStatus;
import org.apache.flink.streaming.util.OneInputStreamOperatorTestHarness;
import org.apache.flink.util.OutputTag;
import org.junit.jupiter.api.Test;

/** Promise: the watermark follows the events' own times, survives restarts, and comes from nowhere else. */
final class WatermarksTest {
    private static final long START_MS = 1_000_000;
    private static final long DELAY_MS = 2_000;
    private static final OutputTag<byte[]> REFUSED =
            new OutputTag<>("refused", PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO);

    /** What Kafka says; null: nothing. */
    private static Look look;

    private static final class Offline extends Watermarks {
        private static final long serialVersionUID = 1L;

        Offline(boolean isBounded) {
            super("events", "group", new Properties(), 60_000, DELAY_MS, 5_000, "", isBounded);
        }

        @Override
        Looks look(String name, String committedOf, Properties connection) {
            return new Looks() {
                @Override
                public Look last() {
                    return look;
                }

                @Override
                public void hurry(boolean isWanted) {}

                @Override
                public void close() {}
            };
        }
    }

    private static OneInputStreamOperatorTestHarness<byte[], byte[]> harness(boolean isBounded) throws Exception {
        OneInputStreamOperatorTestHarness<byte[], byte[]> made =
                new OneInputStreamOperatorTestHarness<>(new Offline(isBounded));
        made.setProcessingTime(START_MS);
        return made;
    }

    private static void look(long beganMs, long... ends) {
        Map<Integer, Long> beginnings = new HashMap<>();
        Map<Integer, Long> found = new HashMap<>();
        for (int partition = 0; partition < ends.length; partition++) {
            beginnings.put(partition, 0L);
            found.put(partition, ends[partition]);
        }
        look = new Look(beganMs, found.keySet(), beginnings, found, Map.of());
    }

    private static StreamRecord<byte[]> progress(int partition, long nextOffset, long eventTimeMs) {
        return new StreamRecord<>(
                ByteBuffer.allocate(21)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .put((byte) 0x80).putInt(partition).putLong(nextOffset).putLong(eventTimeMs)
                        .array());
    }

    private static List<Long> watermarks(OneInputStreamOperatorTestHarness<byte[], byte[]> harness) {
        List<Long> found = new ArrayList<>();
        for (Object each : harness.getOutput()) {
            if (each instanceof Watermark) {
                found.add(((Watermark) each).getTimestamp());
            }
        }
        return found;
    }

    @Test
    void elementsAreTakenApart() throws Exception {
        look = null;
        try (OneInputStreamOperatorTestHarness<byte[], byte[]> harness = harness(false)) {
            harness.open();
            byte[] partial =
                    ByteBuffer.allocate(11)
                            .order(ByteOrder.LITTLE_ENDIAN)
                            .put((byte) 0x81).putLong(60_000).put((byte) 7).put((byte) 8)
                            .array();
            harness.processElement(new StreamRecord<>(partial));
            harness.processElement(new StreamRecord<>(new byte[] {(byte) 0x82, 9}));
            StreamRecord<?> out = (StreamRecord<?>) harness.getOutput().poll();
            assertArrayEquals(new byte[] {7, 8}, (byte[]) out.getValue());
            assertEquals(60_000, out.getTimestamp());
            assertTrue(harness.getOutput().isEmpty());
            assertArrayEquals(new byte[] {9}, harness.getSideOutput(REFUSED).poll().getValue());
            assertThrows(
                    IllegalStateException.class,
                    () -> harness.processElement(new StreamRecord<>(new byte[] {1})));
        }
    }

    @Test
    void watermarksOfTheSourceMeanNothingButItsEnd() throws Exception {
        look = null;
        try (OneInputStreamOperatorTestHarness<byte[], byte[]> harness = harness(false)) {
            harness.open();
            harness.processWatermark(new Watermark(5_000_000));
            harness.processWatermarkStatus(WatermarkStatus.IDLE);
            assertTrue(harness.getOutput().isEmpty());
            harness.processWatermark(Watermark.MAX_WATERMARK);
            assertEquals(List.of(Long.MAX_VALUE), watermarks(harness));
        }
    }

    @Test
    void theWatermarkLagsBehindTheSlowestPartitionByTheDelay() throws Exception {
        look(START_MS, 10, 10);
        try (OneInputStreamOperatorTestHarness<byte[], byte[]> harness = harness(false)) {
            harness.open();
            harness.processElement(progress(0, 10, 900_000));
            harness.setProcessingTime(START_MS + 50);
            assertTrue(watermarks(harness).isEmpty(), "partition 1 may have older events");
            harness.processElement(progress(1, 10, 800_000));
            harness.setProcessingTime(START_MS + 100);
            assertEquals(List.of(800_000 - DELAY_MS - 1), watermarks(harness));
        }
    }

    @Test
    void aBackfillHasNoWatermarkBeforeItsEnd() throws Exception {
        look(START_MS, 10);
        try (OneInputStreamOperatorTestHarness<byte[], byte[]> harness = harness(true)) {
            harness.open();
            harness.processElement(progress(0, 10, 900_000));
            harness.setProcessingTime(START_MS + 100_000);
            assertTrue(watermarks(harness).isEmpty());
            harness.processWatermark(Watermark.MAX_WATERMARK);
            assertEquals(List.of(Long.MAX_VALUE), watermarks(harness));
        }
    }

    private static OperatorSubtaskState stopped() throws Exception {
        look(START_MS, 10, 10);
        try (OneInputStreamOperatorTestHarness<byte[], byte[]> harness = harness(false)) {
            harness.open();
            harness.processElement(progress(0, 10, 900_000));
            harness.processElement(progress(1, 10, 900_000));
            harness.setProcessingTime(START_MS + 50);
            return harness.snapshot(1, 1);
        }
    }

    @Test
    void aRestoredJobSaysItsWatermarkFirstAlsoWhenItIsIdle() throws Exception {
        OperatorSubtaskState state = stopped();
        look = null;
        try (OneInputStreamOperatorTestHarness<byte[], byte[]> harness = harness(false)) {
            harness.initializeState(state);
            harness.open();
            harness.processWatermarkStatus(WatermarkStatus.IDLE);
            // An event that was too late before the restart is too late after it.
            harness.processElement(
                    new StreamRecord<>(
                            ByteBuffer.allocate(9).order(ByteOrder.LITTLE_ENDIAN).put((byte) 0x81).putLong(0).array()));
            assertEquals(new Watermark(900_000 - DELAY_MS - 1), harness.getOutput().poll());
            assertTrue(harness.getOutput().poll() instanceof StreamRecord, "no idleness before it");
        }
    }

    @Test
    void aRestoredJobWaitsForKafkaBeforeItGoesOn() throws Exception {
        OperatorSubtaskState state = stopped();
        look = null;
        try (OneInputStreamOperatorTestHarness<byte[], byte[]> harness = harness(false)) {
            harness.initializeState(state);
            harness.open();
            harness.setProcessingTime(START_MS + 600_000);
            assertEquals(List.of(900_000 - DELAY_MS - 1), watermarks(harness));
            // Partition 1 filled up meanwhile: it is not idle, however long the pause was.
            look(START_MS + 600_000, 10, 5_000);
            harness.processElement(progress(0, 11, 1_500_000));
            harness.setProcessingTime(START_MS + 700_000);
            assertEquals(List.of(900_000 - DELAY_MS - 1), watermarks(harness));
            harness.processElement(progress(1, 5_000, 1_400_000));
            harness.setProcessingTime(START_MS + 700_050);
            assertEquals(List.of(900_000 - DELAY_MS - 1, 1_400_000 - DELAY_MS - 1), watermarks(harness));
        }
    }
}
