// Whether a launcher (mpirun, srun) started this process as one of several, and joining the others. A process that is
// alone never meets MPI: it neither loads nor initialises it.
#pragma once

#include <memory>

#include "cluster/ranks.h"

namespace flashlm {

// As the launcher's variables have it; 1 and 0 without one.
int LaunchedRanks();
int LaunchedRank();

// The ranks of this process's job while it is a member of one; null: it is alone.
Ranks* CurrentRanks();

// Joins the job while it lives. Ranks but the first say nothing from then on. Throws UsageError if there are several
// ranks but this program has no MPI.
class Membership {
 public:
  Membership();
  ~Membership();
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

  // Runs what the verb does, as a member. An Error that all ranks have is thrown on all of them; of those only rank 0
  // should speak. Anything that a rank alone has ends the job with a line that names it.
  void Run(const std::function<void()>& work);

 private:
  std::unique_ptr<Ranks> ranks_;
};

// What Membership::Run throws where another rank says what was wrong.
struct SaidByAnother {
  int exit_code;
};

}  // namespace flashlm
