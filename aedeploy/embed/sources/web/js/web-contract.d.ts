import type { FileRecord } from "./contract.js";

/** What the contract of this page has beyond that of other programs. */
declare module "./contract.js" {
  interface Contract {
    /** The entries that a latent is made of: a file of float32, codes × channels; or the levels of each channel. */
    codebook: Codebook | null;
    /** Latents of two numbers, as points of the map. */
    points: Points | null;
  }

  type Codebook = FileRecord | { levels: number[] };

  interface Points extends FileRecord {
    /** What they are, in a sentence. */
    about: string;
  }
}
