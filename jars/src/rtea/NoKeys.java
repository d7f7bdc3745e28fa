package rtea;

import java.nio.ByteBuffer;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.header.Headers;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.serialization.Deserializer;

/** Leaves keys out: nothing in the job reads them. */
public final class NoKeys implements Deserializer<byte[]> {
    @Override
    public byte[] deserialize(String topic, byte[] data) {
        return null;
    }

    @Override
    public byte[] deserialize(String topic, Headers headers, ByteBuffer data) {
        return null;
    }
}
