// SPDX-License-Identifier: Apache-2.0
// A foreign producer and reader in Java: Kafka's own client, Avro's generic records, Apicurio's serde as
// Confluent's would be (magic byte, four bytes of id). Nothing here comes from millrace.
//
//   java -cp 'JARS/*' Client.java write CLIENT REGISTRY FIRST COUNT   clicks and purchases
//   java -cp 'JARS/*' Client.java read CLIENT REGISTRY TOPIC          lists: counts them
//
// CLIENT is a file of the client's properties.

import io.apicurio.registry.serde.avro.AvroKafkaDeserializer;
import io.apicurio.registry.serde.avro.AvroKafkaSerializer;
import java.io.FileReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import org.apache.avro.Schema;
import org.apache.avro.SchemaBuilder;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Client {
    static final Schema CLICK = SchemaBuilder.record("Click").namespace("shop.java").fields()
        .requiredString("visitor").requiredString("product").requiredLong("at").endRecord();
    static final Schema LINE = SchemaBuilder.record("Line").namespace("shop.java").fields()
        .requiredString("product").requiredInt("pieces").endRecord();
    static final Schema ORDER = SchemaBuilder.record("Order").namespace("shop.java").fields()
        .requiredString("visitor").requiredLong("at")
        .name("lines").type().array().items(LINE).noDefault().endRecord();

    static Properties properties(String client, String registry) throws Exception {
        Properties p = new Properties();
        try (FileReader file = new FileReader(client)) {
            p.load(file);
        }
        p.put("apicurio.registry.url", registry);
        p.put("apicurio.registry.auto-register", true);
        p.put("apicurio.registry.find-latest", false);
        p.put("apicurio.registry.use-id", "contentId");
        p.put("apicurio.registry.headers.enabled", false);
        p.put("apicurio.registry.id-handler", "io.apicurio.registry.serde.Legacy4ByteIdHandler");
        p.put("apicurio.registry.artifact-resolver-strategy",
            "io.apicurio.registry.serde.strategy.TopicIdStrategy"); // the subject TOPIC-value
        return p;
    }

    static void write(String client, String registry, int first, int count) throws Exception {
        Properties p = properties(client, registry);
        p.put("key.serializer", StringSerializer.class.getName());
        p.put("value.serializer", AvroKafkaSerializer.class.getName());
        int clicks = 0, orders = 0;
        try (KafkaProducer<String, GenericRecord> producer = new KafkaProducer<>(p)) {
            List<java.util.concurrent.Future<?>> sent = new ArrayList<>();
            for (int n = first; n < first + count; n++) {
                String visitor = "visitor-" + n % 40, product = "product-" + n * 7 % 60;
                if (n % 5 == 0) {
                    GenericRecord line = new GenericRecordBuilder(LINE)
                        .set("product", product).set("pieces", 1).build();
                    GenericRecord order = new GenericRecordBuilder(ORDER).set("visitor", visitor)
                        .set("at", System.currentTimeMillis()).set("lines", List.of(line)).build();
                    sent.add(producer.send(new ProducerRecord<>("purchases", visitor, order)));
                    orders++;
                } else {
                    GenericRecord click = new GenericRecordBuilder(CLICK).set("visitor", visitor)
                        .set("product", product).set("at", System.currentTimeMillis()).build();
                    sent.add(producer.send(new ProducerRecord<>("clicks", visitor, click)));
                    clicks++;
                }
            }
            for (java.util.concurrent.Future<?> one : sent) one.get();
        }
        System.out.println("clicks=" + clicks + " purchases=" + orders);
    }

    static void read(String client, String registry, String topic) throws Exception {
        Properties p = properties(client, registry);
        p.put("key.deserializer", StringDeserializer.class.getName());
        p.put("value.deserializer", AvroKafkaDeserializer.class.getName());
        p.put("isolation.level", "read_committed");
        p.put("auto.offset.reset", "earliest");
        int lists = 0;
        Set<String> users = new HashSet<>();
        try (KafkaConsumer<String, GenericRecord> consumer = new KafkaConsumer<>(p)) {
            List<TopicPartition> all = new ArrayList<>();
            consumer.partitionsFor(topic).forEach(i -> all.add(new TopicPartition(topic, i.partition())));
            var ends = consumer.endOffsets(all);
            consumer.assign(all);
            consumer.seekToBeginning(all);
            long until = System.currentTimeMillis() + 30000;
            while (all.stream().anyMatch(t -> consumer.position(t) < ends.get(t))) {
                if (System.currentTimeMillis() > until) throw new IllegalStateException("the lists do not end");
                for (ConsumerRecord<String, GenericRecord> r : consumer.poll(Duration.ofMillis(200))) {
                    GenericRecord list = r.value();
                    if (!r.key().equals(list.get("user").toString()) || ((List<?>) list.get("entries")).isEmpty())
                        throw new IllegalStateException("not a list of " + r.key() + ": " + list);
                    users.add(r.key());
                    lists++;
                }
            }
        }
        System.out.println("lists=" + lists + " users=" + users.size());
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("write"))
            write(args[1], args[2], Integer.parseInt(args[3]), Integer.parseInt(args[4]));
        else
            read(args[1], args[2], args[3]);
    }
}
