/** What this program was made for: the model, its graphs, and how near its results must be. */

export type Role = "encoder" | "decoder" | "autoencoder";

/** An input of a graph. In its shape a name stands for a length that may vary: the batch always does. */
export interface Input {
  name: string;
  dtype: "float32";
  shape: (number | string)[];
}

/** An output of a graph, and its tolerances; null: no bound of that sort. */
export interface Output {
  name: string;
  dtype: "float32" | "int64";
  shape: (number | string)[];
  /** Of one call: max |error| ≤ absolute + relative · max |golden|. */
  absolute: number | null;
  relative: number;
  /** Of all golden calls together: ‖error‖ ≤ norm · ‖golden‖. */
  norm: number | null;
  /** Of all golden calls together, of images: the least PSNR, in dB. */
  psnr: number | null;
}

export interface FileRecord {
  file: string;
  sha256: string;
  bytes: number;
}

export interface Graph extends FileRecord {
  role: Role;
  /** A second file, of formats that have one. */
  data: FileRecord | null;
  inputs: Input[];
  outputs: Output[];
  /** The share of indices, or of entries of a masked latent, that may be chosen otherwise in a call. */
  decisions: number;
}

export interface ImageContract {
  channels: number;
  mode: "L" | "RGB";
  height: number;
  width: number;
  dynamic_size: boolean;
  multiple_of: number;
  minimum: number;
}

export interface LatentContract {
  /** Of one image, at the model's size. */
  shape: number[];
  kind: "vector" | "spatial";
  distribution: "point" | "gaussian";
  codebook_size: number | null;
  /** Whether all but some entries are exactly 0. */
  masked: boolean;
}

/** What the model is told of the noise in an image: its standard deviation, in levels of 255, from 0 to `maximum`. */
export interface NoiseContract {
  maximum: number;
}

export interface Contract {
  version: number;
  bundle: { name: string; digest: string; recipe: string; summary: string; source: string };
  image: ImageContract;
  /** null: the model cannot be cut into an encoder and a decoder. */
  latent: LatentContract | null;
  /** null: the model is told nothing. */
  noise: NoiseContract | null;
  denoises: boolean;
  /** The standard deviation of the strongest gaussian noise that it was trained to remove, where 1 is white. */
  noise_sigma: number | null;
  format: string;
  graphs: Graph[];
  golden: FileRecord & { cases: { role: Role; batch: number }[] };
}

export declare const contract: Contract;
