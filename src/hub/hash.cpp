#include "hub/hash.h"

#include <openssl/evp.h>

#include "mlx_audio/error.h"

namespace mlx_audio::hub {

struct BlobHash::State {
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context{
      EVP_MD_CTX_new(),
      EVP_MD_CTX_free};
};

BlobHash::BlobHash(size_t digits, uint64_t size)
    : state_(std::make_unique<State>()) {
  const EVP_MD* kind = digits == 40 ? EVP_sha1() : EVP_sha256();
  if (!state_->context ||
      EVP_DigestInit_ex(state_->context.get(), kind, nullptr) != 1) {
    throw Error(ErrorKind::internal, "OpenSSL offers no SHA");
  }
  if (digits == 40) {
    std::string head = "blob " + std::to_string(size);
    update({head.c_str(), head.size() + 1});
  }
}

BlobHash::~BlobHash() = default;
BlobHash::BlobHash(BlobHash&&) noexcept = default;
BlobHash& BlobHash::operator=(BlobHash&&) noexcept = default;

void BlobHash::update(std::string_view bytes) {
  EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size());
}

std::string BlobHash::digest() {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(state_->context.get(), bytes, &size);
  static const char* digits = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += digits[bytes[i] >> 4];
    text += digits[bytes[i] & 15];
  }
  return text;
}

} // namespace mlx_audio::hub
