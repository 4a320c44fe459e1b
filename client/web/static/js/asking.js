// @ts-check
// Requests to the gateway, from a page or from a worker, so there may be no document. Every failure is an ApiError.

export class ApiError extends Error {
  constructor(code, message, status = 0, retryAfterMs = null) {
    super(message);
    this.code = code;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const query = (parameters) =>
  new URLSearchParams(
    Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null),
  ).toString();

export const address = (path, parameters) => `${path}?${query(parameters)}`;

export class Asking {
  // `token()` resolves to the CSRF token for changes; `heard(code)` is called after each answer with "online" or an
  // error's code.
  /** @param {() => Promise<string>} token @param {(code: string) => void} heard */
  constructor(token, heard = () => {}) {
    this.token = token;
    this.heard = heard;
  }

  async send(path, options = {}, patience = 3) {
    const token = await this.token();
    let response;
    let answer;
    try {
      response = await fetch(path, {
        ...options,
        headers: { "X-CSRF-Token": token, ...options.headers },
        credentials: "same-origin",
      });
      answer = await response.text(); // a truncated answer counts as an error
    } catch {
      options.signal?.throwIfAborted(); // not by the error's name: Firefox also calls lost connections AbortError
      this.heard("gateway");
      throw new ApiError("gateway", "The program that serves this page has stopped. Start it again: python web_app.py");
    }
    if (response.ok) {
      this.heard("online");
      return response.status === 204 ? null : JSON.parse(answer);
    }
    const error = errorOf(response, answer);
    this.heard(error.code);
    if (error.code === "busy" && patience > 0) {
      // the server says when to retry
      await pause(error.retryAfterMs ?? 500);
      return this.send(path, options, patience - 1);
    }
    throw error;
  }

  // Runs an operation of the wire protocol, by name and keys.
  op(name, keys = {}, signal = undefined) {
    return this.json(`/api/op/${name}`, keys, signal);
  }

  json(path, keys, signal = undefined) {
    return this.send(path, {
      method: "POST",
      body: JSON.stringify(keys),
      headers: { "Content-Type": "application/json" },
      signal,
    });
  }

  // Sends a picture or a piece of a ZIP unchanged; at most `most` bytes.
  upload(path, parameters, body, most, signal = undefined) {
    if (body.size > most)
      return Promise.reject(
        new ApiError(
          "too_large",
          `This picture is larger than the ${Math.floor(most / 1048576)} MiB that can be sent.`,
          413,
        ),
      );
    return this.send(address(path, parameters), {
      method: "POST",
      body,
      headers: { "Content-Type": "application/octet-stream" },
      signal,
    });
  }
}

function errorOf(response, answer) {
  try {
    const { error } = JSON.parse(answer);
    return new ApiError(error.code, error.message, response.status, error.retry_after_ms);
  } catch {
    return new ApiError("internal", `The page's gateway failed (${response.status}).`, response.status);
  }
}
