/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_MESSAGE_H
#define VENV_MESSAGE_H

/**
 * @file venv/message.h
 * @brief Messages between manager, agents and users: the table of types, who may send what, and frames.
 *
 *      0        4   5   6      8               16                 16 + size
 *      ├────────┼───┼───┼──────┼───────────────┼──────────────────┤
 *      │ size   │ver│flg│ type │ request id    │ body: CBOR map   │      big endian
 *      └────────┴───┴───┴──────┴───────────────┴──────────────────┘
 *
 * Every type is one row of venv/message.def: number, name, who may send it to whom, the largest body, a sentence.
 * The types' bodies are described there and in venv-protocol(7).
 *
 * @par Reading
 *      Bytes go into a venv_frame_parser as they arrive. The header is checked before anything is
 *      allocated: the version, that the sender may send this type to us at all, and the largest body of the
 *      type. Memory then grows with the bytes that arrive, not with those that were promised.
 *
 * @par Example
 * @code
 *      while (size > 0) {
 *          size_t used = 0;
 *          venv_frame frame;
 *          bool ready = false;
 *          if (venv_frame_parser_feed(parser, data, size, &used, &frame, &ready, &err) != VENV_OK)
 *              return drop_peer(&err);
 *          data += used, size -= used;
 *          if (ready && frame.known) {
 *              venv_value body = venv_value_null();
 *              if (venv_frame_decode(&frame, &body, &err) != VENV_OK)
 *                  return drop_peer(&err);
 *              take(frame.type, frame.request, &body);
 *              venv_value_unref(&body);
 *          }
 *      }
 * @endcode
 *
 * @par Threads
 *      The table is constant. A parser belongs to one thread at a time.
 */

#include <venv/common.h>
#include <venv/value.h>

VENV_BEGIN_DECLS

#define VENV_PROTOCOL_VERSION   1     /**< The version of frames and messages that this library speaks. */
#define VENV_FRAME_HEADER_SIZE  16    /**< Bytes before the body. */
#define VENV_FRAME_UNKNOWN_MAX  65536 /**< Largest body of a type that is not known: it is skipped, not kept. */
#define VENV_PROTOCOL_PORT      7420  /**< Where a manager listens if nothing else is said. */

/** Numbers of the types of messages: VENV_MSG_NOOP, VENV_MSG_GETPROP, … */
typedef enum venv_message_type {
#define VENV_MESSAGE(number, name, text, from, size_max, summary) VENV_MSG_##name = (number),
#include <venv/message.def>
#undef VENV_MESSAGE
} venv_message_type;

/** The ways that a message can go. Or-ed together in venv_message_info.directions. */
typedef enum venv_message_direction {
    VENV_DIRECTION_AGENT_TO_MANAGER = 1 << 0,
    VENV_DIRECTION_USER_TO_MANAGER = 1 << 1,
    VENV_DIRECTION_MANAGER_TO_AGENT = 1 << 2,
    VENV_DIRECTION_MANAGER_TO_USER = 1 << 3,
} venv_message_direction;

/** One row of the table. */
typedef struct venv_message_info {
    int16_t type;
    uint8_t directions;  /**< Set of venv_message_direction. */
    uint32_t size_max;   /**< Largest body in bytes. */
    const char *name;    /**< `"getprop"` */
    const char *summary; /**< One sentence. */
} venv_message_info;

/** The row of a type, at once; NULL if it is not known. */
VENV_API const venv_message_info *venv_message_find(int16_t type);

/** Row `index`, in the order of venv/message.def; NULL past the end. */
VENV_API const venv_message_info *venv_message_at(size_t index);

/** Name of a type for logs; `"unknown"` if it is not known. */
VENV_API const char *venv_message_name(int16_t type);

/** The authorisation gate: may `sender` send this type to `receiver`? What is not in the table is denied. */
VENV_API bool venv_message_allowed(venv_role sender, venv_role receiver, int16_t type);

/** The 16 bytes before a body. */
typedef struct venv_frame_header {
    uint32_t size;    /**< Bytes of the body. */
    uint8_t version;
    uint8_t flags;    /**< 0; unknown flags are refused. */
    int16_t type;
    uint64_t request; /**< Pairs a reply with its request; 0 where nobody asked. */
} venv_frame_header;

VENV_API void venv_frame_header_write(const venv_frame_header *header,
                                      uint8_t ret_bytes[VENV_FRAME_HEADER_SIZE]);
VENV_API venv_frame_header venv_frame_header_read(const uint8_t bytes[VENV_FRAME_HEADER_SIZE]);

/**
 * Make a whole frame.
 *
 * @param body       A map with text keys; null stands for the empty map.
 * @param ret_frame  Owned: release with free().
 * @retval VENV_EINVAL  The type is not known.
 * @retval VENV_EKIND   The body is no map, or holds what cannot be encoded.
 * @retval VENV_ELIMIT  The body is larger than the type allows.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_frame_encode(int16_t type, uint64_t request, const venv_value *body,
                                                 uint8_t **ret_frame, size_t *ret_size, venv_error *err);

/** Put another request id into an encoded frame: one encoding serves many receivers. */
VENV_API void venv_frame_set_request(uint8_t *frame, uint64_t request);

/** A frame that has arrived. The body is borrowed from the parser (or from the bytes fed) until the next call. */
typedef struct venv_frame {
    int16_t type;
    uint64_t request;
    bool known;    /**< False: the type is not in the table, the body was skipped; answer UNKNOWNTYPE. */
    venv_str body;
} venv_frame;

/**
 * Decode a frame's body. An empty body counts as the empty map. The result owns all of its memory.
 * @retval VENV_EPROTO  It is not CBOR in the deterministic profile, not a map, or a key is not text.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_frame_decode(const venv_frame *frame, venv_value *ret_body,
                                                 venv_error *err);

/** Takes bytes, gives frames. */
typedef struct venv_frame_parser venv_frame_parser;

/**
 * Make a parser for one connection.
 * @param sender    Who is on the other side, by its certificate.
 * @param receiver  Who we are.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_frame_parser_new(venv_role sender, venv_role receiver,
                                                     venv_frame_parser **ret_parser, venv_error *err);

/** Release. Accepts NULL. */
VENV_API void venv_frame_parser_free(venv_frame_parser *parser);

/**
 * Take bytes, at most up to the end of one frame.
 *
 * @param ret_used   How many bytes were taken; go on with the rest.
 * @param ret_ready  True: `*ret_frame` is a whole frame. False: more bytes are needed.
 * @retval VENV_EPROTO   Another version, an unknown flag, or a body longer than its type allows.
 * @retval VENV_EDENIED  The sender may not send this type to us.
 * @retval VENV_ENOMEM
 *
 * After a failure the connection cannot be used: the parser goes on returning the same error.
 */
VENV_API VENV_MUST_USE venv_rc venv_frame_parser_feed(venv_frame_parser *parser, const uint8_t *data,
                                                      size_t size, size_t *ret_used, venv_frame *ret_frame,
                                                      bool *ret_ready, venv_error *err);

/** Bytes of an unfinished frame that are kept now: 0 between frames. For deadlines and for tests. */
VENV_API size_t venv_frame_parser_pending(const venv_frame_parser *parser);

VENV_END_DECLS
#endif /* VENV_MESSAGE_H */
