// The cases of CSM.
#pragma once

#include <string>
#include <vector>

#include "models/csm/network.h"
#include "testing/cases.h"

namespace mlx_audio::csm {

using testing::as_array;
using testing::Case;
using testing::Json;
using testing::largest_difference;
using testing::read_pcm16;

std::vector<std::string> case_names(bool (*wanted)(const Json& info));
Case load_case(const std::string& name);
const Network& network_of(const Case& c);

} // namespace mlx_audio::csm
