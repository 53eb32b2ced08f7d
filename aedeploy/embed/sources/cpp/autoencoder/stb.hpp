#pragma once

#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_FAILURE_USERMSG
#define STBI_WRITE_NO_STDIO

#include <stb_image.h>
#include <stb_image_write.h>
