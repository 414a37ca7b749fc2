#include "checkpoint/pickle.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <unordered_map>

#include "mlx_audio/error.h"

namespace mlx_audio::checkpoint {

namespace {

using Kind = PickleValue::Kind;

constexpr size_t max_bytes = 64'000'000;
constexpr size_t max_values = 2'000'000;
constexpr uint32_t mark = 0xffffffff; // on the stack

// What a state dictionary may name. Types are values without a meaning of their
// own; what is called is in Machine::call.
bool allowed(const std::string& name) {
  static const std::set<std::string> names = {
      "collections OrderedDict",
      "torch._utils _rebuild_tensor_v2",
      "torch._utils _rebuild_tensor_v3",
      "torch._utils _rebuild_parameter",
      "torch.storage UntypedStorage",
      "torch Size",
  };
  static const std::set<std::string> torch_types = {
      "FloatStorage",  "DoubleStorage", "HalfStorage",    "BFloat16Storage",
      "ByteStorage",   "CharStorage",   "ShortStorage",   "IntStorage",
      "LongStorage",   "BoolStorage",   "UntypedStorage", "float32",
      "float64",       "float16",       "bfloat16",       "uint8",
      "int8",          "int16",         "int32",          "int64",
      "bool",          "uint16",        "uint32",         "uint64",
      "float8_e4m3fn", "float8_e5m2",
  };
  return names.count(name) != 0 ||
      (name.rfind("torch ", 0) == 0 && torch_types.count(name.substr(6)) != 0);
}

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::string& name)
      : bytes_(bytes), name_(name) {}

  Pickle run();

 private:
  [[noreturn]] void fail(
      const std::string& what,
      ErrorKind kind = ErrorKind::corrupt_data) const {
    throw Error(
        kind,
        "'" + name_ + "' is no pickle of a state dictionary: " + what +
            " at byte " + std::to_string(at_));
  }

  [[noreturn]] void refuse(const std::string& global) const {
    throw Error(
        ErrorKind::unsupported,
        "'" + name_ + "' names '" + global.substr(0, 200) +
            "', which could run code; it was not run",
        "save it again as safetensors or as a plain state dictionary");
  }

  const std::byte* take(uint64_t size) {
    if (size > bytes_.size() - at_) {
      fail("it is cut");
    }
    const std::byte* data = bytes_.data() + at_;
    at_ += size;
    return data;
  }

  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)), sizeof(T));
    return value;
  }

  std::string string(uint64_t size) {
    return {reinterpret_cast<const char*>(take(size)), size};
  }

  std::string line() {
    std::string text;
    for (char c = 0; (c = static_cast<char>(*take(1))) != '\n';) {
      text += c;
      if (text.size() > 1000) {
        fail("a name of more than 1000 bytes");
      }
    }
    return text;
  }

  void push(PickleValue value) {
    if (out_.values.size() == max_values) {
      throw Error(
          ErrorKind::too_large,
          "'" + name_ + "' holds more than " + std::to_string(max_values) +
              " values");
    }
    stack_.push_back(static_cast<uint32_t>(out_.values.size()));
    out_.values.push_back(std::move(value));
  }

  void push(Kind kind, int64_t integer = 0) {
    PickleValue value;
    value.kind = kind;
    value.integer = integer;
    push(std::move(value));
  }

  void push_text(std::string text, Kind kind = Kind::text) {
    PickleValue value;
    value.kind = kind;
    value.text = std::move(text);
    push(std::move(value));
  }

  void push_items(Kind kind, std::vector<uint32_t> items) {
    PickleValue value;
    value.kind = kind;
    value.items = std::move(items);
    push(std::move(value));
  }

  void push_global(const std::string& name) {
    if (!allowed(name)) {
      refuse(name);
    }
    push_text(name, Kind::global);
  }

  uint32_t pop() {
    if (stack_.empty() || stack_.back() == mark) {
      fail("its stack is empty");
    }
    uint32_t top = stack_.back();
    stack_.pop_back();
    return top;
  }

  std::vector<uint32_t> pop(size_t count) {
    std::vector<uint32_t> items(count);
    for (size_t i = count; i-- > 0;) {
      items[i] = pop();
    }
    return items;
  }

  std::vector<uint32_t> pop_to_mark() {
    auto found = std::find(stack_.rbegin(), stack_.rend(), mark);
    if (found == stack_.rend()) {
      fail("it lacks a mark");
    }
    std::vector<uint32_t> items(found.base(), stack_.end());
    stack_.erase(found.base() - 1, stack_.end());
    return items;
  }

  PickleValue& top(Kind kind) {
    if (stack_.empty() || stack_.back() == mark ||
        out_.values[stack_.back()].kind != kind) {
      fail("it adds to what is no list or dictionary");
    }
    return out_.values[stack_.back()];
  }

  void append(Kind kind, const std::vector<uint32_t>& items) {
    if (kind == Kind::dict && items.size() % 2 != 0) {
      fail("a key without a value");
    }
    auto& into = top(kind).items;
    into.insert(into.end(), items.begin(), items.end());
  }

  void remember(uint64_t key) {
    if (stack_.empty() || stack_.back() == mark) {
      fail("its stack is empty");
    }
    memo_[key] = stack_.back();
  }

  void recall(uint64_t key) {
    auto found = memo_.find(key);
    if (found == memo_.end()) {
      fail("it recalls what it never had");
    }
    stack_.push_back(found->second);
  }

  void call(uint32_t function, uint32_t arguments);
  void step(uint8_t op);

  std::span<const std::byte> bytes_;
  const std::string& name_;
  size_t at_ = 0;
  bool done_ = false;
  Pickle out_;
  std::vector<uint32_t> stack_;
  std::unordered_map<uint64_t, uint32_t> memo_;
};

void Machine::call(uint32_t function, uint32_t arguments) {
  const PickleValue& callee = out_.values[function];
  const PickleValue& tuple = out_.values[arguments];
  if (callee.kind != Kind::global || tuple.kind != Kind::tuple) {
    fail("a call of what is no function");
  }
  std::vector<uint32_t> items = tuple.items;
  if (callee.text == "collections OrderedDict") {
    if (!items.empty()) {
      fail("an OrderedDict with arguments");
    }
    push(Kind::dict);
  } else if (callee.text == "torch._utils _rebuild_parameter") {
    if (items.empty()) {
      fail("a parameter without data");
    }
    stack_.push_back(items[0]);
  } else if (callee.text == "torch Size") {
    if (items.size() != 1) {
      fail("a torch.Size without sizes");
    }
    stack_.push_back(items[0]);
  } else if (callee.text.rfind("torch._utils _rebuild_tensor_v", 0) == 0) {
    bool typed = callee.text.back() == '3';
    push_items(Kind::tensor, std::move(items));
    out_.values.back().integer = typed ? 3 : 2;
  } else {
    refuse(callee.text);
  }
}

void Machine::step(uint8_t op) {
  switch (op) {
    case 0x80: // PROTO
      if (number<uint8_t>() > 5) {
        fail("a protocol above 5", ErrorKind::unsupported);
      }
      return;
    case 0x95: // FRAME
      number<uint64_t>();
      return;
    case '.': // STOP
      out_.root = pop();
      done_ = true;
      return;
    case '(': // MARK
      stack_.push_back(mark);
      return;
    case '0': // POP
      if (stack_.empty()) {
        fail("its stack is empty");
      }
      stack_.pop_back();
      return;
    case '1': // POP_MARK
      pop_to_mark();
      return;
    case 'N':
      return push(Kind::none);
    case 0x88: // NEWTRUE
      return push(Kind::boolean, 1);
    case 0x89: // NEWFALSE
      return push(Kind::boolean, 0);
    case 'J': // BININT
      return push(Kind::integer, number<int32_t>());
    case 'K': // BININT1
      return push(Kind::integer, number<uint8_t>());
    case 'M': // BININT2
      return push(Kind::integer, number<uint16_t>());
    case 0x8a: { // LONG1: little endian, two's complement
      auto size = number<uint8_t>();
      if (size > 8) {
        fail("a number of " + std::to_string(size) + " bytes");
      }
      int64_t value = 0;
      if (size > 0) {
        uint64_t bits = 0;
        std::memcpy(&bits, take(size), size);
        int shift = 64 - 8 * size;
        value = static_cast<int64_t>(bits << shift) >> shift;
      }
      return push(Kind::integer, value);
    }
    case 'G': { // BINFLOAT: big endian
      auto bits = __builtin_bswap64(number<uint64_t>());
      PickleValue value;
      value.kind = Kind::real;
      std::memcpy(&value.real, &bits, 8);
      return push(std::move(value));
    }
    case 'X': // BINUNICODE
    case 'T': // BINSTRING
    case 'B': // BINBYTES
      return push_text(string(number<uint32_t>()));
    case 0x8c: // SHORT_BINUNICODE
    case 'U': // SHORT_BINSTRING
    case 'C': // SHORT_BINBYTES
      return push_text(string(number<uint8_t>()));
    case 0x8d: // BINUNICODE8
    case 0x8e: // BINBYTES8
      return push_text(string(number<uint64_t>()));
    case ')':
      return push(Kind::tuple);
    case ']':
      return push(Kind::list);
    case '}':
      return push(Kind::dict);
    case 't': // TUPLE
      return push_items(Kind::tuple, pop_to_mark());
    case 0x85:
      return push_items(Kind::tuple, pop(1));
    case 0x86:
      return push_items(Kind::tuple, pop(2));
    case 0x87:
      return push_items(Kind::tuple, pop(3));
    case 'l': // LIST
      return push_items(Kind::list, pop_to_mark());
    case 'd': { // DICT
      push(Kind::dict);
      uint32_t dict = pop();
      auto items = pop_to_mark();
      stack_.push_back(dict);
      return append(Kind::dict, items);
    }
    case 'a': // APPEND
      return append(Kind::list, pop(1));
    case 'e': // APPENDS
      return append(Kind::list, pop_to_mark());
    case 's': // SETITEM
      return append(Kind::dict, pop(2));
    case 'u': // SETITEMS
      return append(Kind::dict, pop_to_mark());
    case 'q': // BINPUT
      return remember(number<uint8_t>());
    case 'r': // LONG_BINPUT
      return remember(number<uint32_t>());
    case 0x94: // MEMOIZE
      return remember(memo_.size());
    case 'h': // BINGET
      return recall(number<uint8_t>());
    case 'j': // LONG_BINGET
      return recall(number<uint32_t>());
    case 'c': { // GLOBAL
      std::string module = line();
      return push_global(module + " " + line());
    }
    case 0x93: { // STACK_GLOBAL
      auto names = pop(2);
      const auto& module = out_.values[names[0]];
      const auto& attribute = out_.values[names[1]];
      if (module.kind != Kind::text || attribute.kind != Kind::text) {
        fail("a name that is no text");
      }
      return push_global(module.text + " " + attribute.text);
    }
    case 'Q': { // BINPERSID
      uint32_t id = pop();
      if (out_.values[id].kind != Kind::tuple) {
        fail("a persistent id that is no tuple");
      }
      return push_items(Kind::storage, out_.values[id].items);
    }
    case 'R': { // REDUCE
      auto parts = pop(2);
      return call(parts[0], parts[1]);
    }
    case 'b': { // BUILD: only an OrderedDict's attributes, which say nothing
      pop();
      top(Kind::dict);
      return;
    }
    case 0x81: // NEWOBJ
    case 0x92: // NEWOBJ_EX
    case 'i': // INST
    case 'o': // OBJ
    case 0x82: // EXT1..EXT4
    case 0x83:
    case 0x84:
      refuse("an object of a class");
    default:
      fail("the operation " + std::to_string(op));
  }
}

Pickle Machine::run() {
  if (bytes_.size() > max_bytes) {
    throw Error(
        ErrorKind::too_large,
        "'" + name_ + "' has " + std::to_string(bytes_.size()) +
            " bytes of pickle");
  }
  while (!done_) {
    if (stack_.size() > max_values) {
      fail("a stack of too many values");
    }
    step(number<uint8_t>());
  }
  out_.size = at_;
  return std::move(out_);
}

} // namespace

Pickle parse_pickle(std::span<const std::byte> bytes, const std::string& name) {
  return Machine(bytes, name).run();
}

} // namespace mlx_audio::checkpoint
