#include "kernels/team.h"

#include <omp.h>

#include "kernels/parallel.h"

namespace mlx_audio::kernels {

void run_team(void (*function)(const void*, Team&, int), const void* argument) {
  int wanted = thread_count();
  if (wanted == 1) {
    Team alone(1);
    function(argument, alone, 0);
    return;
  }
  std::unique_ptr<Team> team;
#pragma omp parallel num_threads(wanted)
  {
    // The pool may give fewer than wanted.
#pragma omp single
    team = std::make_unique<Team>(omp_get_num_threads());
    function(argument, *team, omp_get_thread_num());
  }
}

} // namespace mlx_audio::kernels
