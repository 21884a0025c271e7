// The folders and links of a run: RUN/checkpoints/step_000500, RUN/latest, RUN/best. What is in a checkpoint
// is the business of checkpoint.h; here are only names, and changes that a crash at any moment cannot make
// worse.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flashlm {

// before_decay: the newest checkpoint from before the learning rate fell.
enum class RunLink { kLatest, kBest, kBeforeDecay };

struct StepFolder {
  int64_t step;
  std::string path;
};

// RUN/checkpoints/step_000500.
std::string StepFolderPath(const std::string& run_folder, int64_t step);

// Checkpoint folders, newest first; temporary ones are not among them.
std::vector<StepFolder> ListStepFolders(const std::string& run_folder);

// The folder a link of the run names, whether or not it exists; "" if there is no such link.
std::string LinkedFolder(const std::string& run_folder, RunLink link);
// Points the link to RUN/checkpoints/NAME of `step_folder` (relative, so that a run can be moved or copied).
void PointLink(const std::string& run_folder, RunLink link, const std::string& step_folder);

// Renames the complete folder `temporary` to `final`. If `final` exists it is replaced; at every moment one
// of the two is found by ListStepFolders.
void PublishFolder(const std::string& temporary, const std::string& final);

// Removes a folder so that a crash half way leaves only a temporary folder. Trouble is said, not thrown: a
// checkpoint too many does no harm.
void RemoveFolder(const std::string& folder);

// A checkpoint that training has gone back behind: renamed to step_000500.superseded, which ListStepFolders and
// retention pass over. `best` goes with it.
void SupersedeFolder(const std::string& run_folder, const std::string& step_folder);
bool IsSuperseded(const std::string& folder);
// Removes them, except the one that `best` names.
void RemoveSuperseded(const std::string& run_folder);

// Finishes or undoes what a crash left half done. Only for the process that writes the run.
void CleanLeftovers(const std::string& run_folder);

}  // namespace flashlm
