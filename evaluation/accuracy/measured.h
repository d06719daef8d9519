// Times in milliseconds that others measured on Edge TPUs, with their sources.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace segue {

// Five 3x3 'same' convolutions of F filters on 64x64x3, int8, PCIe, i9-9900K. The times are those
// of one device (median of interpreter.invoke()) and of segments by edgetpu_compiler --num_segments
// on 2 and 4 devices, in batches of 1 and 100 through pycoral's PipelinedModelRunner (total /
// batch). 0 means not measured. Source: github.com/Jorgitou98/EdgeTPU-QuantRL-Evaluation,
// CONV_MACs/results, the raw files of batch 100 (docs/accuracy.md says how the merged ones differ),
// with the mean of widths that were run twice.
struct ConvSweepRow {
  std::int32_t filters = 0;
  double one_device = 0;
  double two_batch_1 = 0;
  double four_batch_1 = 0;
  double two_batch_100 = 0;
  double four_batch_100 = 0;
};
[[nodiscard]] const std::vector<ConvSweepRow>& conv_sweep();

// The same networks in segments on 3 devices, batches of 100, at some widths.
// Source: the same raw files.
struct ThreeDevicesRow {
  std::int32_t filters = 0;
  double batch_100 = 0;
};
[[nodiscard]] const std::vector<ThreeDevicesRow>& conv_sweep_on_three();

// Dense 64 -> N (four times, tanh) -> 10 on the same host, one device.
// Source: the same, FC_MACs/results.
struct DenseSweepRow {
  std::int32_t units = 0;
  double one_device = 0;
};
[[nodiscard]] const std::vector<DenseSweepRow>& dense_sweep();

// Reports of Google's compiler 16 for the networks of both sweeps on one device, in MiB. Source:
// the same files.
struct ReportedMemoryRow {
  std::int32_t size = 0;  // filters or units
  double on_chip_mib = 0;
  double host_mib = 0;
};
[[nodiscard]] const std::vector<ReportedMemoryRow>& conv_sweep_memory();
[[nodiscard]] const std::vector<ReportedMemoryRow>& dense_sweep_memory();

// Off-chip bytes if all operators after a tensor of a Keras network are one segment. Source:
// github.com/pm2550/TPU_Models, five_models/baselines/models_compilation.txt.
struct TailMemoryRow {
  const char* model;  // of the zoo
  const char* behind;
  double host_mib = 0;
};
[[nodiscard]] const std::vector<TailMemoryRow>& keras_tails();

// Batch sizes on two and on three devices. The files do not contain the width; 672 filters fit the
// asymptote on two devices. Source: the same, CONV_MACs/results/minB1-maxB100-stepB3-seg2 and
// -seg3.
struct BatchSweepRow {
  std::uint64_t batch = 0;
  double per_input = 0;
};
[[nodiscard]] const std::vector<BatchSweepRow>& batch_sweep();
[[nodiscard]] const std::vector<BatchSweepRow>& batch_sweep_on_three();
inline constexpr std::int32_t kBatchSweepFilters = 672;

// MobileNet v1, uint8, USB 2 on a Raspberry Pi, steady invocations.
// Source: github.com/salimmj/coral-benchmarks, results.csv, times 10 (docs/accuracy.md says why).
struct MobileNetRow {
  double width = 1;
  std::int32_t input_size = 0;
  double one_device = 0;
};
[[nodiscard]] const std::vector<MobileNetRow>& mobilenets();

// The runs on a Jetson Nano with four cores at 1479 MHz ("10 W") and with two cores at 918 MHz ("5
// W") are in this order: USB 3 at 10 W, USB 2 at 10 W, USB 3 at 5 W, USB 2 at 5 W.
inline constexpr std::size_t kJetsonRuns = 4;

// An input of 2x2x3 padded to 128x128x3, L 7x7 convolutions of 32 filters, and one strided 1x1
// convolution. The memory in MiB is the report of the compiler at that time (1.0). Source:
// github.com/iwatake2222/EdgeTPU_Analysis, Result.xlsx, Ops_conv.
struct UsbStackRow {
  std::int32_t layers = 0;
  double on_chip_mib = 0;
  double host_mib = 0;
  std::array<double, kJetsonRuns> times{};
};
[[nodiscard]] const std::vector<UsbStackRow>& usb_stacks();

// A map of H x W x 3 that is only an input, only an output, or neither (made on the device).
// Source: the same, InOut_stride, InOut_padding and InOut_padding_stride.
enum class TransferTest { kInput, kOutput, kNeither };
struct UsbTransferRow {
  TransferTest test{};
  std::int32_t height = 0;
  std::int32_t width = 0;
  std::array<double, kJetsonRuns> times{};
};
[[nodiscard]] const std::vector<UsbTransferRow>& usb_transfers();

// ResNet152 in Google's segments on 1 to 8 of the TPUs of a PCIe card, batch 1, compiler 16; the
// same network whole on each TPU.
// Source: github.com/mouad-zouhdi/sparta-edgetpu, report/figs/data.
struct CardRow {
  std::uint32_t tpus = 0;
  double per_s = 0;
  double latency_ms = 0;
  double copies_per_s = 0;
};
[[nodiscard]] const std::vector<CardRow>& resnet152_on_card();

// The compiler's total of off-chip bytes of ResNet101 in this number of segments. Source: the same.
struct CardMemoryRow {
  std::uint32_t tpus = 0;
  double host_mib = 0;
};
[[nodiscard]] const std::vector<CardMemoryRow>& resnet101_on_card();

// Latency of a residual network of 26 MiB of weights in Google's segments on 1 to 8 TPUs.
// Source: the same.
struct ResidualNetRow {
  std::int32_t pixels = 0;        // height and width of the input
  std::array<double, 8> times{};  // on 1 to 8 TPUs
};
[[nodiscard]] const std::vector<ResidualNetRow>& residual_net_on_card();

// Other stacks of 3x3 convolutions on 64x64x3, one TPU; the fastest of several runs.
// Source: Jorgitou98/EdgeTPU-QuantRL-Evaluation, earlier commits, CONV_linear_MACs.
struct ConvStackRow {
  std::int32_t layers = 0;
  std::int32_t filters = 0;
  double one_device = 0;
};
[[nodiscard]] const std::vector<ConvStackRow>& conv_stacks();

// The networks of the sweep on two TPUs, cut by libcoral's profiling, batches of 100.
// Source: the same, CONV_MACs/results, files with "profilingTrue".
struct ProfiledRow {
  std::int32_t filters = 0;
  std::size_t first_layers = 0;  // of five layers, those in the first segment
  double batch_100 = 0;
};
[[nodiscard]] const std::vector<ProfiledRow>& profiled_splits();

// Networks of the zoo on one device: a desktop over USB 3, and the Dev Board.
// Sources: coral.ai/docs/edgetpu/benchmarks; rows named "pycoral" google-coral/pycoral,
// benchmarks/reference.
struct PublishedTime {
  const char* model;  // of the zoo
  const char* title;
  double desktop = 0;
  double dev_board = 0;
  bool is_predicted = false;  // the row was added after the law was final
};
[[nodiscard]] const std::vector<PublishedTime>& published_times();

// One network over USB 3 with libedgetpu1-std 16 and pycoral on an Intel i9-13900K, as a blog
// published it in 2026: x2q.net/post/google-coral-edge-tpu-experiments-2026.
struct RecentHostRow {
  const char* model;  // in the zoo
  const char* title;
  double ms;
};
[[nodiscard]] const std::vector<RecentHostRow>& recent_host();

}  // namespace segue
