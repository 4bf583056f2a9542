package peers;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import org.locationtech.jts.geom.Coordinate;
import org.locationtech.jts.geom.Geometry;
import org.locationtech.jts.geom.GeometryFactory;
import org.locationtech.jts.geom.Point;
import org.locationtech.jts.geom.prep.PreparedGeometry;
import org.locationtech.jts.geom.prep.PreparedGeometryFactory;
import org.locationtech.jts.index.strtree.STRtree;
import org.locationtech.jts.io.ParseException;
import org.locationtech.jts.io.WKBReader;

/**
 * The job in Kafka Streams: raw positions, valid ones, neighbourhoods, time by device and place, PostgreSQL.
 *
 * <p>One stream thread. A device's state is in a store in memory with a cache, kept in a changelog; rows go to PostgreSQL
 * in one statement after so many positions or seconds. The rules are those of tests/bench/peers/job.py.
 */
public final class PlaceTime {
  static final long MAX_GAP_US = 300_000_000L;
  static final long PARKED_GAP_US = 1_800_000_000L;
  static final long MAX_AHEAD_US = 300_000_000L;
  static final double PARKED_M = 50.0;
  static final double MAX_ERROR_M = 200.0;
  static final double EARTH_RADIUS_M = 6_371_008.8;
  static final int WRITE_AFTER = 10_000;
  static final Duration WRITE = Duration.ofSeconds(2);
  static final String TRACKS = "tracks";

  /** A position as radios and vehicles send it, as far as the job needs it. */
  record Position(String device, String time, Double lon, Double lat, Double error, String received) {
    @JsonCreator
    Position(
        @JsonProperty("device_id") String device,
        @JsonProperty("time") String time,
        @JsonProperty("lon") Double lon,
        @JsonProperty("lat") Double lat,
        @JsonProperty("error_m") Double error,
        @JsonProperty("received") String received) {
      this.device = device;
      this.time = time;
      this.lon = lon;
      this.lat = lat;
      this.error = error;
      this.received = received;
    }
  }

  /** A valid position; its time is in microseconds since 1970. */
  record Fix(String device, long time, double lon, double lat) {}

  /** Messages to fixes. */
  static final class Reader {
    private final ObjectReader json =
        JsonMapper.builder()
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
            .build()
            .readerFor(Position.class);

    /** A message as a fix; null where it cannot be used. */
    Fix read(byte[] raw) {
      try {
        Position said = json.readValue(raw);
        if (said == null || said.device == null || said.device.isEmpty() || said.device.length() > 200) return null;
        if (said.time == null || said.received == null || said.lon == null || said.lat == null) return null;
        if (!(Math.abs(said.lon) <= 180 && Math.abs(said.lat) <= 90)) return null;
        if (said.lon == 0 && said.lat == 0) return null;
        if (said.error != null && !(said.error >= 0 && said.error <= MAX_ERROR_M)) return null;
        long time = micros(said.time);
        if (time - micros(said.received) > MAX_AHEAD_US) return null;
        return new Fix(said.device, time, said.lon, said.lat);
      } catch (JacksonException | DateTimeException unusable) {
        return null;
      } catch (IOException impossible) {
        throw new UncheckedIOException(impossible);
      }
    }

    private static long micros(String time) {
      return ChronoUnit.MICROS.between(Instant.EPOCH, Instant.parse(time));
    }
  }

  /** The neighbourhoods, as prepared geometries in a tree. */
  static final class Ground {
    private record Area(String name, PreparedGeometry shape) {}

    private final STRtree tree = new STRtree();
    private final GeometryFactory points = new GeometryFactory();

    Ground(Path path) throws IOException, ParseException {
      WKBReader reader = new WKBReader();
      for (String line : Files.readAllLines(path)) {
        String[] cells = line.split("\t");
        Geometry shape = reader.read(WKBReader.hexToBytes(cells[1]));
        tree.insert(shape.getEnvelopeInternal(), new Area(cells[0], PreparedGeometryFactory.prepare(shape)));
      }
      tree.build();
    }

    /** The neighbourhood of a point, of several the one with the smallest id; empty: outside all. */
    String place(double lon, double lat) {
      Point point = points.createPoint(new Coordinate(lon, lat));
      String found = "";
      for (Object item : tree.query(point.getEnvelopeInternal())) {
        Area area = (Area) item;
        if ((found.isEmpty() || area.name.compareTo(found) < 0) && area.shape.intersects(point)) found = area.name;
      }
      return found;
    }
  }

  /** What is known of a device: its last fix and where it was, and the time in each place. */
  static final class Track {
    long time;
    double lon;
    double lat;
    String place;
    final Map<String, Long> spent = new HashMap<>();

    /** Takes a later fix in; gives the place whose time grew, or null. */
    String add(Fix fix, String at) {
      long took = fix.time - time;
      String told = null;
      if (took <= MAX_GAP_US
          || (took <= PARKED_GAP_US && at.equals(place) && metres(lon, lat, fix.lon, fix.lat) <= PARKED_M)) {
        spent.merge(place, took, Long::sum);
        told = place;
      }
      move(fix, at);
      return told;
    }

    void move(Fix fix, String at) {
      time = fix.time;
      lon = fix.lon;
      lat = fix.lat;
      place = at;
    }

    static double metres(double lon0, double lat0, double lon1, double lat1) {
      double north = Math.sin(Math.toRadians(lat1 - lat0) / 2);
      double east = Math.sin(Math.toRadians(lon1 - lon0) / 2);
      double chord = north * north + Math.cos(Math.toRadians(lat0)) * Math.cos(Math.toRadians(lat1)) * east * east;
      return 2 * EARTH_RADIUS_M * Math.asin(Math.sqrt(Math.min(chord, 1.0)));
    }
  }

  /** A track as bytes. */
  static final class TrackSerde implements Serializer<Track>, Deserializer<Track> {
    @Override
    public byte[] serialize(String topic, Track track) {
      if (track == null) return null;
      byte[] place = track.place.getBytes(StandardCharsets.UTF_8);
      List<byte[]> names = new ArrayList<>(track.spent.size());
      int size = 28 + place.length;
      for (String name : track.spent.keySet()) {
        byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
        names.add(bytes);
        size += 12 + bytes.length;
      }
      ByteBuffer into = ByteBuffer.allocate(size);
      into.putLong(track.time).putDouble(track.lon).putDouble(track.lat).putInt(place.length).put(place);
      int at = 0;
      for (long us : track.spent.values()) {
        byte[] name = names.get(at++);
        into.putInt(name.length).put(name).putLong(us);
      }
      return into.array();
    }

    @Override
    public Track deserialize(String topic, byte[] bytes) {
      if (bytes == null) return null;
      ByteBuffer from = ByteBuffer.wrap(bytes);
      Track track = new Track();
      track.time = from.getLong();
      track.lon = from.getDouble();
      track.lat = from.getDouble();
      track.place = text(from);
      while (from.hasRemaining()) {
        String name = text(from);
        track.spent.put(name, from.getLong());
      }
      return track;
    }

    private static String text(ByteBuffer from) {
      int length = from.getInt();
      String found = new String(from.array(), from.position(), length, StandardCharsets.UTF_8);
      from.position(from.position() + length);
      return found;
    }

    @Override
    public void configure(Map<String, ?> settings, boolean isKey) {}

    @Override
    public void close() {}
  }

  /** Where the results go. All tasks of the one thread share it. */
  static final class Table {
    private record Key(String device, String place) {}

    private final Connection connection;
    private final PreparedStatement upsert;
    private final Map<Key, Long> rows = new LinkedHashMap<>();
    private int taken;

    Table(String database) throws SQLException {
      connection = DriverManager.getConnection(database);
      upsert =
          connection.prepareStatement(
              "insert into place_time select * from unnest(?::text[], ?::text[], ?::bigint[]) "
                  + "on conflict (device_id, place) do update set us = excluded.us");
    }

    void put(String device, String place, long us) {
      rows.put(new Key(device, place), us);
    }

    void taken() {
      if (++taken >= WRITE_AFTER) write();
    }

    void write() {
      taken = 0;
      if (rows.isEmpty()) return;
      int size = rows.size();
      String[] device = new String[size];
      String[] place = new String[size];
      Long[] us = new Long[size];
      int at = 0;
      for (Map.Entry<Key, Long> row : rows.entrySet()) {
        device[at] = row.getKey().device;
        place[at] = row.getKey().place;
        us[at++] = row.getValue();
      }
      try {
        upsert.setArray(1, connection.createArrayOf("text", device));
        upsert.setArray(2, connection.createArrayOf("text", place));
        upsert.setArray(3, connection.createArrayOf("bigint", us));
        upsert.executeUpdate();
      } catch (SQLException failed) {
        throw new IllegalStateException(failed);
      }
      rows.clear();
    }
  }

  /** The job, for the devices of a partition. */
  static final class Counter implements Processor<byte[], byte[], Void, Void> {
    private final Reader reader = new Reader();
    private final Ground ground;
    private final Table table;
    private KeyValueStore<String, Track> tracks;

    Counter(Ground ground, Table table) {
      this.ground = ground;
      this.table = table;
    }

    @Override
    public void init(ProcessorContext<Void, Void> context) {
      tracks = context.getStateStore(TRACKS);
      context.schedule(WRITE, PunctuationType.WALL_CLOCK_TIME, now -> table.write());
    }

    @Override
    public void process(Record<byte[], byte[]> message) {
      Fix fix = reader.read(message.value());
      if (fix != null) {
        Track track = tracks.get(fix.device);
        if (track == null) {
          track = new Track();
          track.move(fix, ground.place(fix.lon, fix.lat));
          tracks.put(fix.device, track);
        } else if (fix.time > track.time) {
          String grown = track.add(fix, ground.place(fix.lon, fix.lat));
          tracks.put(fix.device, track);
          if (grown != null) table.put(fix.device, grown, track.spent.get(grown));
        }
      }
      table.taken();
    }

    @Override
    public void close() {
      table.write();
    }
  }

  private static String given(String name) {
    return System.getenv("PEER_" + name);
  }

  /** Runs until it is ended. */
  public static void main(String[] words) throws Exception {
    Ground ground = new Ground(Path.of(given("AREAS")));
    Table table = new Table(given("JDBC"));
    Serde<Track> serde = Serdes.serdeFrom(new TrackSerde(), new TrackSerde());
    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(
        Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(TRACKS), Serdes.String(), serde)
            .withCachingEnabled());
    String prefix = given("PREFIX");
    builder
        .stream(
            List.of(prefix + "radio.positions", prefix + "vehicle.positions"),
            Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
        .process(() -> new Counter(ground, table), TRACKS);
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "kafka-streams");
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, given("KAFKA"));
    settings.put(StreamsConfig.STATE_DIR_CONFIG, given("FOLDER"));
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    settings.put("auto.offset.reset", "earliest");
    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    streams.setUncaughtExceptionHandler(
        failure -> {
          failure.printStackTrace();
          return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse
              .SHUTDOWN_APPLICATION;
        });
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
  }
}
