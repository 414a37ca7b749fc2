// Norms and the pointwise functions behind them, at a decoder's last rate.
#include "kernels/norm.h"

#include "kernels/compare.h"

namespace mlx_audio::kernels {
namespace {

const bool registered = [] {
  auto x = random({1, 24000, 128});
  auto alpha = mx::abs(random({128}, 2)) + mx::array(0.1f);
  mx::eval(alpha);
  AdaNorm snake_norm{random({1, 128}, 3), random({1, 128}, 4), 1e-5f, alpha};
  AdaNorm leaky_norm{
      random({1, 128}, 3), random({1, 128}, 4), 1e-5f, std::nullopt, 0.2f};
  compare("ada_instance_norm+snake/24000x128", 0, [=] {
    return ada_instance_norm(x, snake_norm);
  });
  compare("ada_instance_norm+leaky/24000x128", 0, [=] {
    return ada_instance_norm(x, leaky_norm);
  });
  compare("snake/24000x128", 0, [=] { return snake(x, alpha); });
  compare("leaky_relu/24000x128", 0, [=] { return leaky_relu(x, 0.1f); });
  return true;
}();

} // namespace
} // namespace mlx_audio::kernels
