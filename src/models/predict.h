// What a prediction says: of given targets, in training and evaluation, or of all tokens. The network and what stands
// beside it (Model::Predict) are one distribution here, and nowhere else is one made.
#pragma once

#include "models/model.h"

namespace flashlm {

// CrossEntropy with the prediction's head. targets: [N], -1: none; `config` without soft cap and second opinion, which
// the prediction has.
CrossEntropyResult NextTokenLoss(Tape& tape, const Prediction& prediction, const int32_t* targets,
                                 CrossEntropyConfig config);

// f32 [N,V]; inference only.
Tensor LogProbabilities(Tape& tape, const Prediction& prediction);
// The same of each stream's last position: [batch,V].
Tensor LastLogProbabilities(Tape& tape, const Prediction& prediction);

}  // namespace flashlm
