import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import org.apache.avro.Schema;
import org.apache.avro.SchemaParser;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.io.JsonEncoder;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads records of a topic with Apache's own client and Avro, schemas from the gateway's registry.
 *
 * <p>Arguments: bootstrap servers, topic, number of records, registry URL, API key. A line of Avro JSON for each
 * record; then it ends.
 */
public final class ReadTopic {
  private static final Duration PATIENCE = Duration.ofSeconds(40);

  private final HttpClient http = HttpClient.newHttpClient();
  private final ObjectMapper json = new ObjectMapper();
  private final Map<String, Schema> known = new HashMap<>();
  private final String registry;
  private final String authorization;

  private ReadTopic(String registry, String key) {
    this.registry = registry;
    byte[] user = (key + ":").getBytes(StandardCharsets.UTF_8);
    this.authorization = "Basic " + Base64.getEncoder().encodeToString(user);
  }

  public static void main(String[] given) throws Exception {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", given[0]);
    settings.put("auto.offset.reset", "earliest");
    ReadTopic reader = new ReadTopic(given[3], given[4]);
    int wanted = Integer.parseInt(given[2]);
    try (KafkaConsumer<byte[], byte[]> consumer =
        new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      List<TopicPartition> all = new ArrayList<>();
      consumer.partitionsFor(given[1]).forEach(one -> all.add(new TopicPartition(one.topic(), one.partition())));
      consumer.assign(all);
      consumer.seekToBeginning(all);
      long until = System.nanoTime() + PATIENCE.toNanos();
      while (wanted > 0 && System.nanoTime() < until) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
          System.out.println(reader.read(record));
          wanted--;
        }
      }
    }
    System.exit(wanted > 0 ? 1 : 0);
  }

  private String read(ConsumerRecord<byte[], byte[]> record) throws Exception {
    ByteBuffer value = ByteBuffer.wrap(record.value());
    Header named = record.headers().lastHeader("__value_schema_id");
    String path;
    if (named == null) {
      if (value.get() != 0) {
        throw new IllegalArgumentException("no record in Confluent's wire format");
      }
      path = "/schemas/ids/" + Integer.toUnsignedLong(value.getInt());
    } else {
      ByteBuffer guid = ByteBuffer.wrap(named.value(), 1, 16);
      path = "/schemas/guids/" + new UUID(guid.getLong(), guid.getLong());
    }
    Schema schema = schema(path);
    byte[] datum = new byte[value.remaining()];
    value.get(datum);
    Object found =
        new GenericDatumReader<>(schema).read(null, DecoderFactory.get().binaryDecoder(datum, null));
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    JsonEncoder encoder = EncoderFactory.get().jsonEncoder(schema, out);
    new GenericDatumWriter<>(schema).write(found, encoder);
    encoder.flush();
    return out.toString(StandardCharsets.UTF_8);
  }

  private Schema schema(String path) throws Exception {
    Schema schema = known.get(path);
    if (schema == null) {
      SchemaParser parser = new SchemaParser();
      JsonNode answer = get(path);
      parseReferences(answer, parser);
      schema = parser.parse(answer.get("schema").asText()).mainSchema();
      known.put(path, schema);
    }
    return schema;
  }

  private void parseReferences(JsonNode answer, SchemaParser parser) throws Exception {
    if (answer.has("references")) {
      for (JsonNode one : answer.get("references")) {
        String subject = URLEncoder.encode(one.get("subject").asText(), StandardCharsets.UTF_8);
        JsonNode found = get("/subjects/" + subject + "/versions/" + one.get("version").asInt());
        parseReferences(found, parser);
        parser.parse(found.get("schema").asText()).mainSchema();
      }
    }
  }

  private JsonNode get(String path) throws Exception {
    HttpRequest asked =
        HttpRequest.newBuilder(URI.create(registry + path)).header("Authorization", authorization).build();
    HttpResponse<String> answer = http.send(asked, HttpResponse.BodyHandlers.ofString());
    if (answer.statusCode() != 200) {
      throw new IllegalStateException(path + ": " + answer.statusCode() + " " + answer.body());
    }
    return json.readTree(answer.body());
  }
}
