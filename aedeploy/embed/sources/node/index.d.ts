import type { Contract, Role } from "./contract.js";

export type * from "./contract.js";

/** An array of numbers, in rows: the last axis varies fastest. The first is the batch. */
export interface FloatTensor {
  dtype: "float32";
  shape: number[];
  data: Float32Array;
}

export interface IntTensor {
  dtype: "int64";
  shape: number[];
  data: BigInt64Array;
}

export interface ByteTensor {
  dtype: "uint8";
  shape: number[];
  data: Uint8Array;
}

export type Tensor = FloatTensor | IntTensor | ByteTensor;

/** What the encoder makes of a batch of images. */
export interface Code {
  /** What `decode` takes. Of a gaussian model, the mean of the posterior. */
  latent: FloatTensor;
  /** Of a gaussian model: the logarithm of the posterior's variance. */
  logvar?: FloatTensor;
  /** Of a model with a codebook: which entry stands at each place. */
  indices?: IntTensor;
}

/** The model's graphs, opened. It may run several calls at the same time. */
export declare class Autoencoder {
  private constructor();

  /**
   * @param folder where `model/` is; by default that of this module
   * @param roles the graphs to open; by default all that the model has
   * @throws an Error whose message is one sentence, where a graph cannot be opened
   */
  static open(folder?: string, roles?: readonly Role[]): Promise<Autoencoder>;

  /**
   * @param image [batch, channels, height, width], from 0 to 1
   * @param sigma of a model that is told the noise (`contract.noise`), and of no other: the noise's standard deviation
   * in levels of 255
   */
  encode(image: FloatTensor, sigma?: number): Promise<Code>;

  /**
   * @param latent as `encode` gives it
   * @returns images, [batch, channels, height, width], from 0 to 1
   */
  decode(latent: FloatTensor): Promise<FloatTensor>;

  /**
   * @param image [batch, channels, height, width], from 0 to 1
   * @param sigma as `encode` takes it
   * @returns the same images as the model gives them back
   */
  reconstruct(image: FloatTensor, sigma?: number): Promise<FloatTensor>;

  /** Run one graph: all its outputs by name. */
  run(role: Role, inputs: Record<string, Tensor>): Promise<Record<string, Tensor>>;
}

/** What this program was made for. */
export declare const contract: Contract;

/**
 * Read an image file as the model takes it: upright, in sRGB, without alpha, at the model's size.
 *
 * @param source a path, or the content of a file
 * @returns [1, channels, height, width], from 0 to 1
 * @throws an Error whose message is one sentence, where it cannot be read as an image
 */
export declare function readImage(source: string | Uint8Array): Promise<FloatTensor>;

/**
 * Write an image as PNG.
 *
 * @param image [1, channels, height, width], from 0 to 1
 */
export declare function writeImage(image: FloatTensor, path: string): Promise<void>;
