/* A program that knows an export by TensorFlow's C API alone.

   consumer EXPORT ROWS HEIGHT WIDTH CHANNELS IMAGES

   IMAGES holds ROWS images, raw float32. Runs `score` of them and `generate`, both with the seeds 0, 7, 14, ..., and
   prints a line for each number: the signature, the output, its place, its value. The names of the tensors come from
   the export's own meta graph. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>

enum { MOST = 8 };

typedef struct {
  const uint8_t *data;
  size_t length;
} Bytes;

static void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

/* Protocol buffers: a message is a row of (key, value); the lower three bits of a key say how long the value is. */

static uint64_t varint(Bytes *message) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && message->length; shift += 7) {
    uint8_t byte = *message->data++;
    message->length--;
    value |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return value;
  }
  fail("meta graph", "a number without an end");
  return 0;
}

/* Takes the next field off a message; returns its number, or 0 at the end. Numbers leave `value` empty. */
static uint64_t next_field(Bytes *message, Bytes *value) {
  if (!message->length) return 0;
  uint64_t key = varint(message), skip = 0;
  value->length = 0;
  switch (key & 7) {
    case 0: varint(message); break;
    case 1: skip = 8; break;
    case 2: skip = varint(message); break;
    case 5: skip = 4; break;
    default: fail("meta graph", "a field of an unknown kind");
  }
  if (skip > message->length) fail("meta graph", "a field that is cut off");
  if ((key & 7) == 2) *value = (Bytes){message->data, skip};
  message->data += skip;
  message->length -= skip;
  return key >> 3;
}

static Bytes field(Bytes message, uint64_t number) {
  Bytes value;
  uint64_t found;
  while ((found = next_field(&message, &value)))
    if (found == number) return value;
  return (Bytes){NULL, 0};
}

static int equal(Bytes text, const char *word) {
  return text.length == strlen(word) && !memcmp(text.data, word, text.length);
}

/* MetaGraphDef.signature_def is field 5, a map; the keys of a map are field 1 of its entries, the values field 2. */
static Bytes signature(Bytes meta_graph, const char *name) {
  Bytes entry;
  uint64_t found;
  while ((found = next_field(&meta_graph, &entry)))
    if (found == 5 && equal(field(entry, 1), name)) return field(entry, 2);
  fail(name, "the export has no such signature");
  return entry;
}

/* The tensor of an entry of SignatureDef.inputs or .outputs: TensorInfo.name, field 1, is "operation:number". */
static TF_Output tensor_of(TF_Graph *graph, Bytes entry) {
  Bytes name = field(field(entry, 2), 1);
  char text[256];
  if (name.length >= sizeof text) fail("meta graph", "a long name");
  memcpy(text, name.data, name.length);
  text[name.length] = 0;
  char *colon = strrchr(text, ':');
  if (colon) *colon = 0;
  TF_Operation *operation = TF_GraphOperationByName(graph, text);
  if (!operation) fail(text, "the graph has no such operation");
  return (TF_Output){operation, colon ? atoi(colon + 1) : 0};
}

static void run(TF_Session *session, TF_Graph *graph, Bytes meta_graph, const char *name, const char **given,
                TF_Tensor **values, int count) {
  TF_Output inputs[MOST], outputs[MOST];
  TF_Tensor *fed[MOST], *results[MOST];
  Bytes message = signature(meta_graph, name), entry, keys[MOST];
  int num_inputs = 0, num_outputs = 0;
  uint64_t part;
  while ((part = next_field(&message, &entry))) {
    if (part == 1) {
      int place = 0;
      while (place < count && !equal(field(entry, 1), given[place])) place++;
      if (place == count || num_inputs == MOST) fail(name, "an input that is not given");
      fed[num_inputs] = values[place];
      inputs[num_inputs++] = tensor_of(graph, entry);
    } else if (part == 2) {
      if (num_outputs == MOST) fail(name, "too many outputs");
      keys[num_outputs] = field(entry, 1);
      outputs[num_outputs++] = tensor_of(graph, entry);
    }
  }
  TF_Status *status = TF_NewStatus();
  TF_SessionRun(session, NULL, inputs, fed, num_inputs, outputs, results, num_outputs, NULL, 0, NULL, status);
  check(status, name);
  for (int i = 0; i < num_outputs; i++) {
    size_t size = (size_t)TF_TensorElementCount(results[i]);
    for (size_t j = 0; j < size; j++) {
      double value = TF_TensorType(results[i]) == TF_BOOL ? ((uint8_t *)TF_TensorData(results[i]))[j]
                                                          : ((float *)TF_TensorData(results[i]))[j];
      printf("%s %.*s %zu %.9g\n", name, (int)keys[i].length, (const char *)keys[i].data, j, value);
    }
    TF_DeleteTensor(results[i]);
  }
  TF_DeleteStatus(status);
}

int main(int argc, char **argv) {
  if (argc != 7) fail("consumer", "expected EXPORT ROWS HEIGHT WIDTH CHANNELS IMAGES");
  int64_t shape[4];
  size_t size = 1;
  for (int axis = 0; axis < 4; axis++) size *= (size_t)(shape[axis] = atoll(argv[2 + axis]));
  TF_Tensor *values[2] = {TF_AllocateTensor(TF_FLOAT, shape, 4, size * sizeof(float)),
                          TF_AllocateTensor(TF_INT64, shape, 1, (size_t)shape[0] * sizeof(int64_t))};
  FILE *file = fopen(argv[6], "rb");
  if (!file || fread(TF_TensorData(values[0]), sizeof(float), size, file) != size) fail(argv[6], "cannot be read");
  fclose(file);
  for (int64_t row = 0; row < shape[0]; row++) ((int64_t *)TF_TensorData(values[1]))[row] = 7 * row;

  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  TF_Buffer *buffer = TF_NewBuffer();
  const char *tags[] = {"serve"}, *names[] = {"image", "seed"};
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, buffer, status);
  check(status, argv[1]);
  Bytes meta_graph = {buffer->data, buffer->length};
  run(session, graph, meta_graph, "score", names, values, 2);
  run(session, graph, meta_graph, "generate", names, values, 2);

  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteBuffer(buffer);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  for (int i = 0; i < 2; i++) TF_DeleteTensor(values[i]);
  TF_DeleteStatus(status);
  return 0;
}
