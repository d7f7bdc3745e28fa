package rtea;

import java.nio.ByteBuffer;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.header.Headers;
import org.apache.flink.kafka.shaded.org.apache.kafka.common.serialization.Deserializer;

/**
 * Hands out values as parts of the fetched buffer, for {@link PackInterceptor} to copy once.
 *
 * <p>It declares no type: KafkaSource refuses deserializers of anything but byte arrays.
 */
@SuppressWarnings("rawtypes")
public final class Slices implements Deserializer {
    @Override
    public Object deserialize(String topic, byte[] data) {
        return data == null ? null : ByteBuffer.wrap(data);
    }

    @Override
    public Object deserialize(String topic, Headers headers, ByteBuffer data) {
        return data;
    }
}
