/** What programs name that fine-tune a model with `model.train`: the types of its data, options and steps, and the readers of data files. */

export type { TrainingFootprint, TrainOptions, TrainTarget } from "./models/training-options.js";
export type { Evaluation, TrainingStep } from "./models/training-step.js";
export type { LoraModule } from "./training/lora.js";
export type { TrainedPart } from "./training/parameters.js";
export { readParquetRecords } from "./training/parquet-records.js";
export type { SkipBad } from "./training/record-faults.js";
export { readTrainingRecords } from "./training/records.js";
export type { Labels, TrainingMessage, TrainingRecord } from "./training/samples.js";
export type { Schedule } from "./training/schedule.js";
