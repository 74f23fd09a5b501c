import { KernelError } from "../../base/errors.js";

/** No logit of a row is a number. */
export class NoNumbers extends KernelError {
  constructor() {
    super({
      where: "logits",
      expected: "numbers",
      got: "none: every one is NaN",
      remedy: "check the checkpoint's weights; report this with the output of `ocellus doctor`",
    });
  }
}
